"""How much a net's features change when an image is moved: Zeiler and Fergus's figure 5."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax

from decaf.backbones import TorchBackbone
from decaf.errors import DataError
from decaf.insight.asked import Moves
from decaf.insight.moved import amounts_of, moved
from decaf.insight.shown_images import ShownImages
from decaf.progress import Advance, show_progress
from decaf.types import FloatArray, IntArray

_BATCH = 16
_SHOWN = 7


@dataclass(frozen=True, eq=False)
class Invariance:
    """What moving images does to features and to probabilities.

    Attributes
    ----------
    transform : str
        What was done to them.
    amounts : tuple of float
        By how much.
    layers : tuple of str
        The layers looked at.
    image_ids : tuple of str
        The images.
    distances : numpy.ndarray
        ``(n_images, n_amounts, n_layers)`` Euclidean distances to the unmoved image's features.
    between : numpy.ndarray
        ``(n_layers,)`` mean distance between different unmoved images.
    probability : numpy.ndarray or None
        ``(n_images, n_amounts)``: of the true class; None where the net has no classes.
    unchanged : numpy.ndarray or None
        ``(n_images, n_amounts)``: whether the most probable class is that of the unmoved image.
    told : bool
        Whether the true classes are known; else they are the most probable of the unmoved images.
    shown : numpy.ndarray
        ``(n_shown, S, S, 3)`` uint8: the first image, moved by some of the amounts.
    shown_amounts : tuple of float
        By which.
    """

    transform: str
    amounts: tuple[float, ...]
    layers: tuple[str, ...]
    image_ids: tuple[str, ...]
    distances: FloatArray
    between: FloatArray
    probability: FloatArray | None
    unchanged: npt.NDArray[np.bool_] | None
    told: bool
    shown: npt.NDArray[np.uint8]
    shown_amounts: tuple[float, ...]

    @property
    def relative(self) -> FloatArray:
        """The distances as shares of those between different images."""
        scaled: FloatArray = self.distances / np.where(self.between > 0, self.between, 1)
        return scaled


def invariance(
    net: TorchBackbone,
    images: ShownImages,
    layers: Sequence[str],
    moves: Moves = Moves(),
    *,
    classes: Path | None = None,
    quiet: bool = False,
) -> Invariance:
    """Measure how features and probabilities change when images are moved.

    Parameters
    ----------
    net : TorchBackbone
        The net.
    images : ShownImages
        Two or more.
    layers : sequence of str
        Canonical or dotted names.
    moves : Moves
        What is done to the images, in the net's input.
    classes : pathlib.Path, optional
        Names of the net's classes, one a line; see `ShownImages.columns`.
    quiet : bool
        Print no progress.

    Raises
    ------
    ConfigError
        If an amount or the file of classes is wrong.
    BackboneError
        If a layer is unknown.
    DataError
        If there are fewer than two images, or one cannot be read.

    References
    ----------
    Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, figure 5.
    """
    amounts, layers = amounts_of(moves), tuple(dict.fromkeys(layers))
    if len(images.ids) < 2:
        raise DataError(f"asked to compare images, found {len(images.ids)}; give two or more")
    for layer in layers:
        net.shape(layer)  # says at once which layers there are
    n_scores = 0 if net.scores is None else net.shape(net.scores)[0]
    columns = images.columns(n_scores, classes) if n_scores else None
    pixels = images.pixels(net.preprocessing)

    def put(some: torch.Tensor, amount: float) -> torch.Tensor:
        return moved(some, moves.transform, amount, moves.fill, net.preprocessing)

    total = len(pixels) * (len(amounts) + 1)
    with show_progress("moving", total, "images", quiet=quiet) as advance:
        parts = [
            _measured(net, some.to(net.device), layers, [partial(put, amount=a) for a in amounts],
                      advance)
            for some in torch.split(pixels, _BATCH)
        ]  # fmt: skip
    distances, between, scores = (torch.cat(one).numpy() for one in zip(*parts, strict=True))
    places = np.linspace(0, len(amounts) - 1, min(_SHOWN, len(amounts))).round().astype(int)
    some = [amounts[place] for place in places]
    return Invariance(
        transform=moves.transform,
        amounts=amounts,
        layers=layers,
        image_ids=images.ids,
        distances=distances,
        between=between.mean(0),
        told=columns is not None,
        shown=np.concatenate([put(pixels[:1], a).permute(0, 2, 3, 1).numpy() for a in some]),
        shown_amounts=tuple(some),
        **_classes(scores, columns),
    )


def _measured(
    net: TorchBackbone,
    pixels: torch.Tensor,
    layers: Sequence[str],
    moves: Sequence[Callable[[torch.Tensor], torch.Tensor]],
    advance: Advance,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return what one batch tells.

    These are distances ``(n, n_moves, n_layers)``, those of its pairs ``(n_pairs, n_layers)``, and
    scores ``(n, 1 + n_moves, n_classes)``, first of the unmoved.
    """
    still, first = _read(net, pixels, layers)
    advance(len(pixels))
    distances, scores = [], [first]
    for move in moves:
        found, given = _read(net, move(pixels), layers)
        apart = [(a - b).norm(dim=1) for a, b in zip(found, still, strict=True)]
        distances.append(torch.stack(apart, 1).cpu())
        scores.append(given)
        advance(len(pixels))
    pairs = torch.stack([torch.pdist(one) for one in still], 1).cpu()
    return torch.stack(distances, 1), pairs, torch.stack(scores, 1)


def _classes(scores: FloatArray, columns: IntArray | None) -> dict[str, Any]:
    """Return the probability of each image's class, and whether the first guess stays."""
    if not scores.shape[2]:
        return {"probability": None, "unchanged": None}
    best = scores.argmax(2)
    true = best[:, 0] if columns is None else columns
    probabilities = softmax(scores.astype(np.float64), axis=2)
    own = np.take_along_axis(probabilities, true[:, None, None], 2)[:, 1:, 0]
    return {"probability": own, "unchanged": best[:, 1:] == best[:, :1]}


def _read(
    net: TorchBackbone, pixels: torch.Tensor, layers: Sequence[str]
) -> tuple[list[torch.Tensor], torch.Tensor]:
    """Return ``(n, n_features)`` of each layer, and ``(n, n_classes)`` scores on the CPU."""
    scores = [] if net.scores is None else [net.scores]
    found = net.activations(pixels, [*layers, *scores])
    flat = [found[name].flatten(1) for name in (*layers, *scores)]
    return flat[: len(layers)], flat[-1].cpu() if scores else torch.empty(len(pixels), 0)
