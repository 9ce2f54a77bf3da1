"""What a net's answer rests on: a square is moved over the image, and the answer watched.

References
----------
Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 4.2 and
figure 7. The paper states neither side, nor stride, nor grey of its square.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from torchvision.models import AlexNet_Weights

from decaf.backbones import TorchBackbone
from decaf.backbones.normalize import normalize
from decaf.choices import SquareFill, check_choice
from decaf.errors import ConfigError
from decaf.insight.asked import Occlusion
from decaf.insight.deconvnet import send_down
from decaf.insight.units import deepest_maps
from decaf.progress import log, show_progress
from decaf.types import FloatArray, IntArray, Preprocessing

_SQUARE, _STRIDE = 50 / 224, 8 / 224
"""Of the side of the net's input, if not given."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """How a layer's outputs become probabilities of classes.

    Attributes
    ----------
    layer : str
        The layer.
    class_names : tuple of str
        The classes.
    probabilities : callable
        Takes the layer's output ``(n, ...)``, returns ``(n, n_classes)``.
    """

    layer: str
    class_names: tuple[str, ...]
    probabilities: Callable[[torch.Tensor], FloatArray]

    def number(self, label: str) -> int:
        """Return the number of a class.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        check_choice("class", label, self.class_names)
        return self.class_names.index(label)


@dataclass(frozen=True, eq=False)
class Occluded:
    """What became of a net's answer where a square covered the image.

    Attributes
    ----------
    pixels : numpy.ndarray
        ``(S, S, 3)`` uint8: the net's input.
    starts, square : numpy.ndarray, int
        ``(n_places,)`` first pixels of the square, down and across alike, and its side in pixels.
    fill : str
        What the square shows.
    layer, unit : str, int
        The map whose total activation is the largest without a square.
    activation, total : numpy.ndarray, float
        ``(n_places, n_places)`` total activation of that map, and without a square.
    projection : numpy.ndarray or None
        ``(S, S, 3)`` the map sent down to the input by the deconvnet; None where the net has
        another non-linearity than ReLU.
    class_names : tuple of str
        Classes that are known; none where the net has no scores.
    label : int
        The class that is watched.
    probability, before : numpy.ndarray, float
        ``(n_places, n_places)`` its probability, and without a square.
    best : numpy.ndarray
        ``(n_places, n_places)`` numbers of the most probable classes.
    """

    pixels: npt.NDArray[np.uint8]
    starts: IntArray
    square: int
    fill: SquareFill
    layer: str
    unit: int
    activation: FloatArray
    total: float
    projection: FloatArray | None
    class_names: tuple[str, ...]
    label: int
    probability: FloatArray
    before: float
    best: IntArray


def own_classes(net: TorchBackbone) -> ClassScores | None:
    """Return a net's own classes, by name where there are ImageNet's 1000; None without scores."""
    layer = net.scores
    if layer is None:
        return None
    n_classes = net.shape(layer)[0]
    names = tuple(AlexNet_Weights.IMAGENET1K_V1.meta["categories"])
    if n_classes != len(names):
        names = tuple(f"class {number}" for number in range(n_classes))
    # two of ImageNet's names are borne by two classes each
    known = tuple(
        f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names)
    )
    return ClassScores(layer, known, lambda scores: softmax(scores.flatten(1).cpu().numpy(), 1))


def places(side: int, square: int, stride: int) -> IntArray:
    """Return the first pixels of a square that moves along a side; the last one is flush.

    Raises
    ------
    ConfigError
        If the square is larger than the side.
    """
    if square > side:
        raise ConfigError(f"asked for a square of {square} px, found an input of {side} px")
    number = math.ceil((side - square) / stride) + 1
    return np.minimum(np.arange(number) * stride, side - square)


def fill_of(fill: SquareFill, preprocessing: Preprocessing) -> torch.Tensor:
    """Return the colour ``(3, 1, 1)`` uint8 of a square."""
    colours = {"mean": [round(255 * mean) for mean in preprocessing.mean],
               "grey": [128] * 3, "black": [0] * 3}  # fmt: skip
    return torch.tensor(colours[fill], dtype=torch.uint8).view(3, 1, 1)


def occlude(
    net: TorchBackbone,
    pixels: torch.Tensor,
    classes: ClassScores | None,
    occlusion: Occlusion = Occlusion(),
    *,
    batch_size: int | None = None,
    quiet: bool = False,
) -> Occluded:
    """Cover an image with a square at every place, and watch a map and the classes.

    Parameters
    ----------
    net : TorchBackbone
        A net.
    pixels : torch.Tensor
        ``(3, S, S)`` uint8 input of the net.
    classes : ClassScores or None
        How probabilities are had; None: the map alone is watched.
    occlusion : Occlusion
        The square, the layer, the class.
    batch_size : int, optional
        Images in one pass; 32 on a CPU, 256 on a GPU if not given.
    quiet : bool
        No progress on stderr.

    Returns
    -------
    Occluded
        Without classes the class names are empty, and probabilities nan.

    Raises
    ------
    ConfigError
        If an option is wrong.
    """
    side = net.preprocessing.input_size_px
    square = occlusion.square or max(1, round(_SQUARE * side))
    starts = places(side, square, occlusion.stride or max(1, round(_STRIDE * side)))
    layer = occlusion.layer or deepest_maps(net)
    if len(net.shape(layer)) != 3:
        raise ConfigError(f"asked for the strongest map of {layer}, which gives no maps")
    pixels = pixels.to(net.device)
    batch_size = batch_size or (32 if net.device.type == "cpu" else 256)
    maps, clean = _watched(net, pixels[None], layer, classes)
    unit = int(maps[0].argmax())
    label = _label(classes, occlusion.label, clean[0])
    totals, scores = [], []
    colour = fill_of(occlusion.fill, net.preprocessing).to(pixels.device)
    with show_progress("occluding", len(starts) ** 2, "places", quiet=quiet) as advance:
        for batch in _covered(pixels, starts, square, colour, batch_size):
            found, probabilities = _watched(net, batch, layer, classes)
            totals.append(found[:, unit])
            scores.append(probabilities)
            advance(len(batch))
    grid = (len(starts), len(starts))
    y = np.concatenate(scores)
    return Occluded(
        pixels=pixels.permute(1, 2, 0).cpu().numpy(),
        starts=starts,
        square=square,
        fill=occlusion.fill,
        layer=layer,
        unit=unit,
        activation=np.concatenate(totals).reshape(grid),
        total=float(maps[0, unit]),
        projection=_projection(net, pixels, layer, unit),
        class_names=() if classes is None else classes.class_names,
        label=label,
        probability=y[:, label].reshape(grid),
        before=float(clean[0, label]),
        best=y.argmax(1).reshape(grid),
    )


def _label(classes: ClassScores | None, asked: str | None, probabilities: FloatArray) -> int:
    """Return the number of the class that is watched."""
    if asked is None:
        return 0 if classes is None else int(probabilities.argmax())
    if classes is None:
        raise ConfigError(f"asked for the class {asked!r}, found a net without; give a model")
    return classes.number(asked)


def _watched(
    net: TorchBackbone, batch: torch.Tensor, layer: str, classes: ClassScores | None
) -> tuple[FloatArray, FloatArray]:
    """Return ``(n, n_units)`` total activations and ``(n, n_classes)`` probabilities."""
    layers = dict.fromkeys([layer, *([] if classes is None else [classes.layer])])
    outputs = net.activations(batch, list(layers))
    totals = outputs[layer].sum((2, 3)).cpu().numpy()
    if classes is None:
        return totals, np.full((len(batch), 1), np.nan)
    return totals, classes.probabilities(outputs[classes.layer])


def _covered(
    pixels: torch.Tensor, starts: IntArray, square: int, colour: torch.Tensor, batch_size: int
) -> Iterator[torch.Tensor]:
    """Yield batches of the image, covered at one place after the other, row by row."""
    corners = list(product(starts.tolist(), repeat=2))
    for first in range(0, len(corners), batch_size):
        some = corners[first : first + batch_size]
        batch = pixels.repeat(len(some), 1, 1, 1)
        for image, (y, x) in zip(batch, some, strict=True):
            image[:, y : y + square, x : x + square] = colour
        yield batch


def _projection(
    net: TorchBackbone, pixels: torch.Tensor, layer: str, unit: int
) -> FloatArray | None:
    def start(output: torch.Tensor) -> torch.Tensor:
        signal = torch.zeros_like(output)
        signal[:, unit] = output[:, unit].clamp(min=0)
        return signal

    inputs = normalize(pixels[None], net.preprocessing, torch.float32)
    try:
        found: FloatArray = send_down(net, inputs, layer, start)[0].permute(1, 2, 0).cpu().numpy()
    except ConfigError as error:
        log(f"the map is not sent down to the pixels: {error}")
        return None
    return found
