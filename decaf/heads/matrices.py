"""A fitted head as matrices, and its margins as probabilities."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from decaf.heads.select import FittedSplit
from decaf.types import FloatArray, IntArray, Split


def head_layers(head: Any) -> list[tuple[FloatArray, FloatArray]]:
    """Return a fitted head's weights ``(n_out, n_in)`` and biases, one row a class in the last.

    A scaling of features before it goes into the first layer; two classes that share one score s
    become the scores 0 and s, whose softmax is s's sigmoid.
    """
    scaler = head[0] if isinstance(head, Pipeline) else None
    last = head[-1] if isinstance(head, Pipeline) else head
    layers = [*last.layers()]
    if scaler is not None:
        weight, bias = layers[0]
        layers[0] = (weight / scaler.scale_, bias - weight @ (scaler.mean_ / scaler.scale_))
    weight, bias = layers[-1]
    if len(bias) == 1:
        layers[-1] = (np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias]))
    return layers


def calibrate(
    scores: FloatArray, labels: IntArray, classes: IntArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return factors and offsets that make margins the logits of probabilities.

    Classes that exclude each other share one factor, the inverse of a temperature, before their
    softmax [1]_; a class that does not has a sigmoid of its own, fitted to Platt's targets [2]_.

    Parameters
    ----------
    scores : numpy.ndarray
        ``(n,)`` or ``(n, n_classes)`` scores of rows that were not trained on.
    labels : numpy.ndarray
        ``(n,)`` labels, or ``(n, n_classes)`` of 1, -1 and 0 (not counted). Of some classes there
        may be none; a label that is no class is not counted.
    classes : numpy.ndarray, optional
        ``(n_classes,)`` label of each score, ascending, as the head that made them has it; 0, 1
        and so on if not given.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` or ``(1,)`` factors.
    numpy.ndarray
        The same, of offsets.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks",
       ICML 2017 (section 4.2).
    .. [2] J. Platt, "Probabilistic outputs for support vector machines", 1999 (section 2.2).
    """
    if labels.ndim == 1:
        if classes is None:
            classes = np.arange(2 if scores.ndim == 1 else scores.shape[1])
        known = np.isin(labels, classes)
        column = np.searchsorted(classes, labels[known])
        return np.array([1 / _temperature(scores[known], column)]), np.zeros(1)
    pairs = [_sigmoid(*one) for one in zip(scores.T, labels.T, strict=True)]
    factors, offsets = np.array(pairs).T
    return factors, offsets


def scores_of(scores: FloatArray, own: IntArray, classes: IntArray) -> FloatArray:
    """Return the scores of a head that knows some of the classes, in the columns of all.

    Parameters
    ----------
    scores : numpy.ndarray
        ``(n, len(own))``, or ``(n,)`` where it knows two.
    own : numpy.ndarray
        Classes that the head knows, all among `classes`.
    classes : numpy.ndarray
        All of them, ascending.

    Returns
    -------
    numpy.ndarray
        `scores` as they are where no class is missing; else ``(n, len(classes))``, in which a
        class that the head does not know has the lowest score of all.
    """
    if len(own) == len(classes):
        return scores
    two = np.stack([np.zeros_like(scores), scores], 1) if scores.ndim == 1 else scores
    found: FloatArray = np.full((len(two), len(classes)), two.min(initial=0), two.dtype)
    found[:, np.searchsorted(classes, own)] = two
    return found


def held_out_scores(
    run: Callable[[Sequence[Split]], Iterable[FittedSplit]],
    X: Any,
    y: IntArray,
    inner: Sequence[tuple[IntArray, IntArray]],
    classes: IntArray,
) -> tuple[FloatArray, IntArray]:
    """Return the scores of training rows by heads that were not fitted on them.

    Parameters
    ----------
    run : callable
        Fits a head on the training rows of each split.
    X : array-like
        Features of all rows.
    y : numpy.ndarray
        Their labels.
    inner : sequence of (numpy.ndarray, numpy.ndarray)
        Rows to fit on, and rows to score.
    classes : numpy.ndarray
        Columns of the scores.

    Returns
    -------
    numpy.ndarray
        Scores, pair after pair of `inner`.
    numpy.ndarray
        Labels.
    """
    parts = zip(run([Split(fit, fit[:0], (), 0) for fit, _ in inner]), inner, strict=True)
    scores = [
        scores_of(part.decision_function(X[rows]), part.head.classes_, classes)
        for part, (_, rows) in parts
    ]
    return np.concatenate(scores), y[np.concatenate([rows for _, rows in inner])]


def _temperature(scores: FloatArray, column: IntArray) -> float:
    if not len(column):
        return 1.0
    F = scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], 1)
    margins = F - F[np.arange(len(F)), column, None]

    def loss(log_t: float) -> float:
        return float(np.logaddexp.reduce(margins / np.exp(log_t), axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log([1e-3, 1e3]), method="bounded").x))


def _sigmoid(scores: FloatArray, labels: IntArray) -> tuple[float, float]:
    s, y = scores[labels != 0, None], labels[labels != 0]
    if not len(y):
        return 1.0, 0.0
    n_positive = int((y > 0).sum())
    target = np.where(y > 0, (n_positive + 1) / (n_positive + 2), 1 / (len(y) - n_positive + 2))
    unit = float(s.std()) or 1.0
    fitted = LogisticRegression(C=np.inf).fit(
        np.concatenate([s, s]) / unit,
        np.repeat([1, 0], len(s)),
        np.concatenate([target, 1 - target]),
    )
    return float(fitted.coef_[0, 0]) / unit, float(fitted.intercept_[0])
