"""Images that a net sees as asked, side by side, and how the search went."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from decaf.backbones import TorchBackbone
from decaf.choices import InvertMethod, MaximizeMethod, checked
from decaf.errors import ConfigError, DataError
from decaf.escapes import csv_cell, figure_text
from decaf.held import held, remove_free
from decaf.insight.asked import Preimage
from decaf.insight.loaded import loaded
from decaf.insight.preimage import Preimages, Wish, seek
from decaf.insight.units import deepest_maps, inputs_of, strongest_of, units_of
from decaf.insight.wishes import activations_of, digest_of, inversions, plus_mean
from decaf.prediction import find_images
from decaf.records import Net, takes_records
from decaf.report.drawing import check_output, house_style, save
from decaf.types import FloatArray
from decaf.whole_files import require_output, whole_file

_ACROSS = 5
_TILE_IN, _WIDTH_IN = 1.5, 4.8
_FULL, _CONTRAST = 0.995, 110.0
"""This share of an image's values lies within so many grey levels of the mean, as it is drawn."""


@dataclass(frozen=True, eq=False)
class Tile:
    """An image and what stands above it.

    Attributes
    ----------
    title : str
        One line.
    pixels : numpy.ndarray
        ``(S, S, 3)`` uint8.
    """

    title: str
    pixels: npt.NDArray[np.uint8]


@takes_records
@checked
def plot_inversions(
    net: Net,
    image: Path,
    *,
    out: Path,
    method: InvertMethod = "2015",
    asked: Preimage = Preimage(),
    device: str = "auto",
) -> str:
    """Draw images whose features at some layers are those of an image.

    Parameters
    ----------
    net : Net
        Its backbone, weights, layers, seed and allow_code.
    image : pathlib.Path
        The image; its centre view is inverted.
    out : pathlib.Path
        The figure; energies of each step go to a ``.csv`` file of the same name beside it. A
        folder ``invert-...`` beside them, from which a stopped run goes on, is removed at the end.
    method : {"2015", "2016"}
        Mahendran and Vedaldi's.
    asked : Preimage
        How many starts and steps.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    str
        The files.

    Raises
    ------
    ConfigError
        If an option is wrong, or the image's features at a layer are all 0.
    DataError
        If the image cannot be read, or a file cannot be written.
    BackboneError
        If the net, its weights or a layer is not usable.
    """
    _check(out, image)
    opened = loaded(net, device)
    preprocessing = opened.preprocessing
    try:
        (pixels,) = inputs_of(opened, [str(image)])
    except DataError as error:
        raise DataError(f"asked for the image {image}, found: {error}; give an image") from error
    layers = net.layer_names or opened.default_layers
    wishes = inversions(opened, pixels, layers, method, asked.tv)
    found = _sought(opened, wishes, asked, out, "invert", pixels.numpy().tobytes())
    tiles = [Tile(image.name, _image(pixels))]
    for layer, one in found.items():
        drawn = plus_mean(one.x, preprocessing)
        tiles += [
            Tile(f"{layer}: {error:.3f}", _image(start))
            for start, error in zip(drawn, one.losses.tolist(), strict=True)
        ]
    across = _ACROSS if asked.starts == 1 else asked.starts
    rows = [tiles[first : first + across] for first in range(0, len(tiles), across)]
    if asked.starts > 1:  # a row a layer, below the image
        rest = tiles[1:]
        rows = [tiles[:1], *(rest[i : i + across] for i in range(0, len(rest), across))]
    return _written(found, preimages_figure(rows, found, "energy"), out)


@takes_records
@checked
def plot_maximized(
    net: Net,
    units: str,
    *,
    out: Path,
    method: MaximizeMethod = "yosinski-3",
    images: Sequence[str] = (),
    asked: Preimage = Preimage(),
    device: str = "auto",
) -> str:
    """Draw images that activate units of a layer, each at full contrast.

    Activations are those of the images as they are found, with what lies outside of 0 to 255 cut
    off; only the drawing is stretched.

    Parameters
    ----------
    net : Net
        Its backbone, weights, seed and allow_code, and one layer; the class scores, or the deepest
        maps where there are none, if none is given.
    units : str
        Units, as ``0-15,40``.
    out : pathlib.Path
        As of `plot_inversions`.
    method : str
        ``2016`` (Mahendran and Vedaldi) or ``yosinski-1`` to ``yosinski-4``.
    images : sequence of str
        Image files, folders and lists, whose largest activation is said beside; ``2016`` needs
        them.
    asked : Preimage
        How many starts and steps.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    str
        The files.

    Raises
    ------
    ConfigError
        If an option is wrong, or there is no such unit.
    DataError
        If an image cannot be read, or a file cannot be written.
    BackboneError
        If the net, its weights or the layer is not usable.
    """
    _check(out, *images)
    numbers = units_of(units)
    paths = list(find_images(images)) if images else []
    opened = loaded(net, device)
    layer = one_of(opened, net)
    largest = largest_of(opened, paths, layer, numbers) if paths else {}
    wishes = activations_of(opened, layer, numbers, method, largest=largest or None, tv=asked.tv)
    found = _sought(opened, wishes, asked, out, "maximize", largest)
    rows = []
    for unit, one in zip(numbers, found.values(), strict=True):
        drawn = plus_mean(one.x, opened.preprocessing)
        reached = _strengths(opened, drawn, layer, [unit])[:, 0].tolist()
        beside = f" ({largest[unit]:.1f})" if largest else ""
        titles = [f"unit {unit}: {value:.1f}{beside}" for value in reached]
        shown = plus_mean(_stretched(one.x), opened.preprocessing)
        rows.append([Tile(title, _image(one)) for title, one in zip(titles, shown, strict=True)])
    if asked.starts == 1:
        tiles = [row[0] for row in rows]
        rows = [tiles[first : first + _ACROSS] for first in range(0, len(tiles), _ACROSS)]
    return _written(found, preimages_figure(rows, found, "energy"), out)


def _stretched(x: torch.Tensor) -> torch.Tensor:
    """Return images at full contrast: what excites a unit may be faint."""
    sizes = x.abs().flatten(1).sort(1).values[:, int(_FULL * x[0].numel())]
    return x * (_CONTRAST / sizes.clamp(min=1e-6))[:, None, None, None]


def one_of(net: TorchBackbone, asked: Net) -> str:
    """Return the layer that is asked for, else that of class scores, else the deepest maps.

    Raises
    ------
    ConfigError
        If several are asked for.
    """
    if len(asked.layer_names) > 1:
        raise ConfigError(f"asked for {', '.join(asked.layer_names)}; give one layer")
    return asked.layer_names[0] if asked.layer_names else net.scores or deepest_maps(net)


def largest_of(
    net: TorchBackbone, paths: Sequence[str], layer: str, units: Sequence[int]
) -> dict[int, float]:
    """Return the largest activation of each unit in the centre views of images.

    Raises
    ------
    DataError
        An image cannot be read.
    """
    found = strongest_of(net, paths, layer, units)
    return {unit: float(_strengths(net, found[unit][:1], layer, [unit])[0, 0]) for unit in units}


def _strengths(
    net: TorchBackbone, pixels: torch.Tensor, layer: str, units: Sequence[int]
) -> FloatArray:
    """Return ``(n, n_units)``: activations, of maps the largest."""
    found = net.activations(pixels.to(net.device), [layer])[layer][:, list(units)]
    strengths: FloatArray = found.reshape(*found.shape[:2], -1).amax(2).cpu().numpy()
    return strengths


def _check(out: Path, *inputs: str | Path) -> None:
    check_output(out, inputs)
    require_output(out.with_suffix(".csv"), ".csv", inputs=inputs)


def _sought(
    net: TorchBackbone,
    wishes: Sequence[Wish],
    asked: Preimage,
    out: Path,
    verb: str,
    *more: object,
) -> dict[str, Preimages]:
    """Search in a folder beside the figure, which goes when it is done."""
    folder = out.absolute().parent / f"{verb}-{digest_of(net, wishes, asked, *more)}"
    with held(folder):
        found = seek(wishes, asked, net.device, folder)
    remove_free(folder)
    return found


def _written(found: Mapping[str, Preimages], figure: Figure, out: Path) -> str:
    table = out.with_suffix(".csv")
    save(figure, out)
    with whole_file(table) as part, part.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["wish", "start", "step", "energy"])
        for name, one in found.items():
            for (step, start), energy in np.ndenumerate(one.energies):
                lines.writerow([csv_cell(name), start, step, f"{energy:.6g}"])
    return f"{out}\n{table}"


def preimages_figure(
    rows: Sequence[Sequence[Tile]], found: Mapping[str, Preimages], said: str
) -> Figure:
    """Draw rows of images, and below them the energy of each search, step by step.

    Parameters
    ----------
    rows : sequence of sequence of Tile
        The images.
    found : mapping of str to Preimages
        The searches; the energy's mean over starts is drawn.
    said : str
        What the energies are.
    """
    across = max(map(len, rows))
    side = max(_TILE_IN, min(2.4, _WIDTH_IN / across))
    width, height = max(side * across, _WIDTH_IN), (side + 0.2) * len(rows)
    with house_style():
        figure = Figure((width, height + 1.9), layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=[height, 1.9])
        grid = above.subplots(len(rows), across, squeeze=False)
        for axes in grid.ravel():
            axes.set_axis_off()
        for line, row in zip(grid, rows, strict=True):
            for axes, tile in zip(line, row, strict=False):
                axes.imshow(tile.pixels)
                axes.set_title(figure_text(tile.title), fontsize=7, fontweight="normal")
        axes = below.subplots()
        for name, one in found.items():
            axes.plot(one.energies.mean(1), linewidth=1, label=figure_text(name))
        axes.set_xlabel("step")
        axes.set_ylabel(said)
        axes.legend(fontsize=6, ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
        if all((one.energies > 0).all() for one in found.values()):
            axes.set_yscale("log")
    return figure


def _image(pixels: torch.Tensor) -> npt.NDArray[np.uint8]:
    image: npt.NDArray[np.uint8] = pixels.permute(1, 2, 0).cpu().numpy()
    return image
