"""Images that a net sees as asked, side by side, and how the search went."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from decaf.backbones import TorchBackbone
from decaf.choices import InvertMethod, MaximizeMethod, checked
from decaf.errors import ConfigError, DataError
from decaf.escapes import csv_cell
from decaf.held import held, remove_free
from decaf.insight.asked import Preimage
from decaf.insight.loaded import loaded
from decaf.insight.preimage import Preimages, Wish, seek
from decaf.insight.units import deepest_maps, inputs_of, strongest_of, units_of
from decaf.insight.wishes import activations_of, digest_of, inversions, plus_mean
from decaf.prediction import find_images
from decaf.records import Net, takes_records
from decaf.report.drawing import check_output, save
from decaf.report.preimage_tiles import Tile, preimages_figure, tiles_of
from decaf.types import FloatArray
from decaf.whole_files import require_output, whole_file

_ACROSS = 6
_FULL, _CONTRAST = 0.995, 110.0
"""This share of an image's values lies within so many grey levels of the mean, as it is drawn."""


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
    try:
        (pixels,) = inputs_of(opened, [str(image)])
    except DataError as error:
        raise DataError(f"asked for the image {image}, found: {error}; give an image") from error
    layers = net.layer_names or opened.default_layers
    wishes = inversions(opened, pixels, layers, method, asked.tv)

    def tiles(name: str, one: Preimages) -> list[Tile]:
        drawn = plus_mean(one.x, opened.preprocessing)
        titles = [f"{name}: {error:.3f}" for error in one.losses.tolist()]
        return tiles_of(titles, drawn)

    first = tiles_of([image.name], pixels[None])
    search = _Search("invert", opened, wishes, asked, pixels.numpy().tobytes())
    return _made(search, out, tiles, first)


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

    def tiles(name: str, one: Preimages) -> list[Tile]:
        unit = int(name.rpartition("-")[2])
        drawn = plus_mean(one.x, opened.preprocessing)
        reached = _strengths(opened, drawn, layer, [unit])[:, 0].tolist()
        beside = f" ({largest[unit]:.1f})" if largest else ""
        titles = [f"unit {unit}: {value:.1f}{beside}" for value in reached]
        return tiles_of(titles, plus_mean(_stretched(one.x), opened.preprocessing))

    return _made(_Search("maximize", opened, wishes, asked, largest), out, tiles)


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


@dataclass(frozen=True, eq=False)
class _Search:
    """What is searched, and all that decides what is found."""

    verb: str
    net: TorchBackbone
    wishes: Sequence[Wish]
    asked: Preimage
    more: object

    def folder(self, beside: Path) -> Path:
        """Return where it keeps how far it is."""
        digest = digest_of(self.net, self.wishes, self.asked, self.more)
        return beside.absolute().parent / f"{self.verb}-{digest}"


def _made(
    search: _Search,
    out: Path,
    tiles: Callable[[str, Preimages], list[Tile]],
    first: Sequence[Tile] = (),
) -> str:
    """Search, and write the figure and the table; what was kept of the search goes after that."""
    folder, table = search.folder(out), out.with_suffix(".csv")
    with held(folder):
        found = seek(search.wishes, search.asked, search.net.device, folder)
        blocks = [tiles(name, one) for name, one in found.items()]
        if search.asked.starts == 1:
            flat = [*first, *(tile for block in blocks for tile in block)]
            blocks = [flat[i : i + _ACROSS] for i in range(0, len(flat), _ACROSS)]
        elif first:
            blocks.insert(0, [*first])
        save(preimages_figure(blocks, found), out)
        _write_energies(found, table)
    remove_free(folder)
    return f"{out}\n{table}"


def _write_energies(found: Mapping[str, Preimages], path: Path) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["wish", "start", "step", "energy"])
        for name, one in found.items():
            for (step, start), energy in np.ndenumerate(one.energies):
                lines.writerow([csv_cell(name), start, step, f"{energy:.6g}"])
