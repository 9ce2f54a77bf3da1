"""What units see in images: the part they depend on, and what of it excites them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from decaf.analysis.receptive import receptive_extents
from decaf.analysis.top_images import N_TOP, check_units
from decaf.backbones import START, TorchBackbone
from decaf.backbones.normalize import normalize
from decaf.choices import Look
from decaf.datasets import ImageFiles, read_image
from decaf.errors import ConfigError, DataError
from decaf.images.views import make_view
from decaf.insight.deconvnet import grad_cam, send_down
from decaf.types import FloatArray

_BATCH = 32


@dataclass(frozen=True, eq=False)
class UnitInImage:
    """A unit at the place of an image where it is most active.

    Attributes
    ----------
    pixels : numpy.ndarray
        ``(S, S, 3)`` uint8: the net's input.
    activation : float
        The unit's activation there.
    box : tuple of int
        ``x0, y0, x1, y1``: what the unit sees of the input there, in pixels.
    signal : numpy.ndarray
        ``(S, S, 3)`` float32: what came down to the normalised input; ``(S, S)`` of Grad-CAM.
    """

    pixels: npt.NDArray[np.uint8]
    activation: float
    box: tuple[int, int, int, int]
    signal: FloatArray

    @property
    def crop(self) -> npt.NDArray[np.uint8]:
        """The pixels of the box."""
        x0, y0, x1, y1 = self.box
        return self.pixels[y0:y1, x0:x1]

    @property
    def projection(self) -> FloatArray:
        """The signal in the box."""
        x0, y0, x1, y1 = self.box
        part: FloatArray = self.signal[y0:y1, x0:x1]
        return part


def units_of(text: str) -> list[int]:
    """Return the units that a text such as ``0-15,40`` names, each once.

    Raises
    ------
    ConfigError
        If it names something else.
    """
    units: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit() or part.endswith("-"):
            raise ConfigError(f"units are numbers, as 0-15,40; found {text!r}")
        units += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(units))


def deepest_maps(net: TorchBackbone, before: str | None = None) -> str:
    """Return the deepest layer that is maps of several places, up to pool5 or before a layer.

    Raises
    ------
    ConfigError
        If there is none.
    """
    layers = [name for name in net.layers if len(net.shape(name)) == 3 and net.shape(name)[1] > 1]
    if before is not None:
        layers = [name for name in layers if net.depth(name) < net.depth(before)]
    elif START in net.layers:
        layers = [name for name in layers if net.depth(name) <= net.depth(START)]
    if not layers:
        raise ConfigError(f"asked for maps of {net.name}, found none; name a layer with --layer")
    return max(layers, key=net.depth)


def first_filters(net: TorchBackbone, most: int = 256) -> tuple[str, FloatArray]:
    """Return the first layer of a net that has filters, and what each looks for in the input.

    Parameters
    ----------
    net : TorchBackbone
        A net whose first maps are linear in its input.
    most : int
        At most so many filters.

    Returns
    -------
    layer : str
        The first layer that gives more than three maps.
    filters : numpy.ndarray
        ``(n_units, height, width, 3)`` float32: the gradient of a unit in the middle of its map.

    Raises
    ------
    ConfigError
        If no layer gives maps.
    """
    layers = [name for name in net.layers if len(net.shape(name)) == 3 and net.shape(name)[0] > 3]
    if not layers:
        raise ConfigError(f"asked for the filters of {net.name}, found no layer that gives maps")
    layer = min(layers, key=net.depth)
    n_units, height, width = net.shape(layer)
    side = net.preprocessing.input_size_px
    units = torch.arange(min(most, n_units), device=net.device)

    def middle(output: torch.Tensor) -> torch.Tensor:
        signal = torch.zeros_like(output)
        signal[units, units, height // 2, width // 2] = 1
        return signal

    inputs = torch.zeros(len(units), 3, side, side, device=net.device)
    signals = send_down(net, inputs, layer, middle, "gradient")
    ys, xs = torch.nonzero(signals.abs().amax((0, 1)), as_tuple=True)
    part = signals[:, :, ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    found: FloatArray = part.permute(0, 2, 3, 1).cpu().numpy()
    return layer, found


def strongest_of(
    net: TorchBackbone, paths: Sequence[str], layer: str, units: Sequence[int]
) -> dict[int, torch.Tensor]:
    """Return for each unit the images that activate it most.

    Parameters
    ----------
    net : TorchBackbone
        A net.
    paths : sequence of str
        Image files, whose centre views are looked at.
    layer, units : str, sequence of int
        Channels of the layer's maps, or numbers of features of a vector.

    Returns
    -------
    dict of int to torch.Tensor
        Up to nine inputs ``(n, 3, S, S)`` uint8 a unit, the most active first.

    Raises
    ------
    ConfigError
        There is no such unit.
    DataError
        An image cannot be read.
    """
    check_units(units, layer, net.shape(layer)[0])
    strengths = []
    for first in range(0, len(paths), _BATCH):
        inputs = inputs_of(net, paths[first : first + _BATCH]).to(net.device)
        outputs = net.activations(inputs, [layer])[layer]
        strengths.append(outputs.reshape(*outputs.shape[:2], -1)[:, list(units)].amax(2).cpu())
    order = torch.argsort(torch.cat(strengths), dim=0, descending=True, stable=True)[:N_TOP]
    return {
        unit: inputs_of(net, [paths[row] for row in order[:, column].tolist()])
        for column, unit in enumerate(units)
    }


def inputs_of(net: TorchBackbone, paths: Sequence[str], view: str = "center") -> torch.Tensor:
    """Return ``(n, 3, S, S)`` uint8 views of image files.

    Raises
    ------
    DataError
        If one cannot be read.
    """
    return torch.stack([_input(net, path, view) for path in paths])


def _input(net: TorchBackbone, path: str, view: str) -> torch.Tensor:
    try:
        return make_view(read_image(ImageFiles(), path), view, net.preprocessing)
    except DataError as error:
        raise DataError(
            f"asked for the image {path}, found: {error}; correct or remove it"
        ) from error


def see_units(
    net: TorchBackbone,
    strongest: Mapping[int, torch.Tensor],
    layer: str,
    method: Look = "deconvnet",
    maps: str | None = None,
) -> dict[int, tuple[UnitInImage, ...]]:
    """Look at units where they are most active, and send their activation down to the pixels.

    Parameters
    ----------
    net : TorchBackbone
        A net.
    strongest : mapping of int to torch.Tensor
        ``(n, 3, S, S)`` uint8 inputs for each unit.
    layer : str
        The layer of the units.
    method : str
        How the signal goes down; it starts at the unit's activation for the deconvnet, else at 1.
    maps : str, optional
        With ``grad-cam``, the layer that is weighed; the deepest maps before `layer` if not given.

    Returns
    -------
    dict of int to tuple of UnitInImage
        In the order of the inputs.

    Raises
    ------
    ConfigError
        If the method has no rule for the net, or does not use `maps`.
    """
    whole = method == "grad-cam" or len(net.shape(layer)) != 3
    extents = None if whole else receptive_extents(net, layer)
    if maps is not None and method != "grad-cam":
        raise ConfigError(f"{method} does not use maps, found {maps!r}; leave it out")
    found = {}
    for unit, pixels in strongest.items():
        inputs = normalize(pixels.to(net.device), net.preprocessing, torch.float32)
        outputs = net.activations(pixels.to(net.device), [layer])[layer]
        values, places = outputs[:, unit].reshape(len(outputs), -1).max(1)
        if method == "grad-cam":
            signals = grad_cam(net, inputs, layer, unit, maps or deepest_maps(net, before=layer))
        else:
            start = partial(_start, unit=unit, places=places, at_activation=method == "deconvnet")
            signals = send_down(net, inputs, layer, start, method).permute(0, 2, 3, 1)
        images = pixels.permute(0, 2, 3, 1).cpu().numpy()
        boxes = [
            _box(place, net.shape(layer), images.shape[1], extents) for place in places.tolist()
        ]
        found[unit] = tuple(map(UnitInImage, images, values.tolist(), boxes, signals.cpu().numpy()))
    return found


def _start(
    output: torch.Tensor, *, unit: int, places: torch.Tensor, at_activation: bool
) -> torch.Tensor:
    """Return a signal at one place of a unit in each image, and 0 elsewhere."""
    own = output.reshape(*output.shape[:2], -1)
    rows = torch.arange(len(own), device=own.device)
    signal = torch.zeros_like(own)
    at = own[rows, unit, places]
    signal[rows, unit, places] = at.clamp(min=0) if at_activation else torch.ones_like(at)
    return signal.view_as(output)


def _box(
    place: int, shape: tuple[int, ...], side: int, extents: Sequence[tuple[int, int]] | None
) -> tuple[int, int, int, int]:
    if extents is None:
        return 0, 0, side, side
    (y0, y1), (x0, x1) = (extents[index] for index in divmod(place, shape[2]))
    return x0, y0, x1, y1
