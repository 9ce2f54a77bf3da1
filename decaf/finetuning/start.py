"""Where a head starts: at the linear one that is trained on the frozen net's features."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from decaf.choices import Normalize
from decaf.finetuning.model import Layer
from decaf.heads import HEADS, fit_splits
from decaf.heads.scores import calibrate, head_layers
from decaf.heads.select import Score
from decaf.types import FloatArray, IntArray, Split


@dataclass(frozen=True, eq=False)
class Starts:
    """Heads for the two parts of a run.

    Attributes
    ----------
    part : Layer
        Weight and bias, learned without the validation rows.
    whole : Layer
        The same, learned on all training rows.
    """

    part: Layer
    whole: Layer


@dataclass(frozen=True, eq=False)
class Frozen:
    """Features of the frozen net, and how the linear head that training starts at is chosen.

    Attributes
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` normalised features.
    normalize : str
        What was done to them; ``standard`` is done in the head's first weights.
    c_grid, fixed_c : sequence of float, float
        As in `decaf.heads.fit_splits`.
    score : callable
        ``score(labels, scores, classes)``: the metric; more is better.
    device : str
        Where the linear head is trained.
    """

    X: FloatArray
    normalize: Normalize
    c_grid: Sequence[float]
    fixed_c: float
    score: Score
    device: str


def linear_starts(
    name: str, frozen: Frozen, y: IntArray, split: Split, parts: tuple[IntArray, IntArray]
) -> Starts:
    """Return linear heads on frozen features, whose scores are logits.

    C is chosen by the split's own folds; the temperature [1]_, or each class's sigmoid, by the
    validation rows.

    Parameters
    ----------
    name : str
        ``svm`` or ``logreg``.
    frozen : Frozen
        Features of all rows.
    y : numpy.ndarray
        ``(n_images,)`` labels, or ``(n_images, n_classes)`` of 1, -1 and 0.
    split : Split
        Training rows, and folds in them.
    parts : tuple of numpy.ndarray
        The training rows without the validation rows, and these.

    Returns
    -------
    Starts
        The two heads.

    Raises
    ------
    DataError
        If features or labels cannot be used.

    References
    ----------
    .. [1] Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2.
    """
    run = partial(
        fit_splits,
        HEADS[name](device=frozen.device),
        frozen.X,
        y,
        score=frozen.score,
        standardize=frozen.normalize == "standard",
    )
    (whole,) = run([split], c_values=(frozen.c_grid, frozen.fixed_c))
    classes = whole.head.classes_
    rows, held_out = parts
    if not len(held_out):
        (layer,) = head_layers(whole.head)
        return Starts(layer, layer)
    without = Split(rows, rows[:0], (), split.seed)
    (part,) = run([without], c_values=((), whole.C or frozen.fixed_c))
    scores = part.decision_function(frozen.X[held_out])
    factors, offsets = calibrate(scores, y[held_out], part.head.classes_)
    layers = []
    for fitted in (part, whole):
        ((weight, bias),) = head_layers(fitted.head)
        layer = weight * factors[:, None], bias * factors + offsets
        layers.append(
            _of_all(layer, fitted.head.classes_, classes, factors * scores.min(initial=0))
        )
    return Starts(*layers)


def _of_all(layer: Layer, own: IntArray, classes: IntArray, lowest: FloatArray) -> Layer:
    """Return a head's layer with a row for each class; one it does not know scores lowest."""
    if len(own) == len(classes):
        return layer
    weight, bias = np.zeros((len(classes), layer[0].shape[1])), np.full(len(classes), lowest)
    known = np.searchsorted(classes, own)
    weight[known], bias[known] = layer
    return weight, bias


def random_starts(n_classes: int, n_features: int, scale: float, seed: int) -> Starts:
    """Return a head with torch's own random start, for features that are multiplied by `scale`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        linear = torch.nn.Linear(n_features, n_classes)
    weight, bias = linear.weight.detach().numpy() * scale, linear.bias.detach().numpy()
    return Starts((weight, bias), (weight, bias))


def scale_of(X: FloatArray) -> float:
    """Return the factor that gives rows a mean squared norm of 1.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n, n_features)`` normalised features of training rows.

    Returns
    -------
    float
        1 where they are all 0.
    """
    squared_norm = float(np.einsum("ij,ij->", X, X, dtype=np.float64)) / max(len(X), 1)
    return squared_norm**-0.5 if squared_norm > 0 else 1.0
