"""What units see, as Zeiler and Fergus show it: nine projections, and the nine image parts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from decaf.analysis.thumbnails import store_images
from decaf.analysis.top_images import top_images
from decaf.backbones import TorchBackbone
from decaf.escapes import figure_text
from decaf.insight.asked import Projection
from decaf.insight.loaded import loaded
from decaf.insight.units import (
    UnitInImage,
    deepest_maps,
    see_units,
    strongest_of,
    units_of,
)
from decaf.prediction import find_images
from decaf.records import Images, Net, takes_records
from decaf.report.drawing import check_output, house_style, save
from decaf.report.tiles import block
from decaf.store import FeatureStore
from decaf.stored_images import store_at
from decaf.types import FloatArray

_GAP_PX, _ACROSS = 8, 2
_CONTRAST = 98.5
"""Percentile of a signal's size that is drawn as full contrast."""


@takes_records
def plot_deconv(
    net: Net,
    seen: Sequence[str | Path],
    *,
    out: Path,
    projection: Projection = Projection(),
    images: Images = Images(),
    device: str = "auto",
) -> Path:
    """Draw what excites units in the nine images that activate them most.

    Parameters
    ----------
    net : Net
        Backbone, weights, seed and allow_code are used.
    seen : sequence of str or pathlib.Path
        One store (``.h5``) of the net's features, whose images are looked at; or image files,
        folders and lists.
    out : pathlib.Path
        The figure's file.
    projection : Projection
        Which units, and how.
    images : Images
        Where the images of the store are.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        An option is wrong, or the method has no rule for the net.
    DataError
        Images are not there.
    StoreMismatchError
        The store is another net's.
    """
    check_output(out, seen)
    units = units_of(projection.units)
    store = store_at(seen[0]) if len(seen) == 1 else None
    if store is None:
        images.only("a look at images that are named")
        paths = list(find_images(seen))
    opened = loaded(net, device)
    scores = opened.scores if projection.method == "grad-cam" else None
    layer = projection.layer or scores or deepest_maps(opened)
    if store is None:
        strongest = strongest_of(opened, paths, layer, units)
    else:
        with FeatureStore(store) as features:
            strongest = strongest_in(features, opened, layer, units, images)
    found = see_units(opened, strongest, layer, projection.method, projection.maps)
    title = f"{opened.name}, {layer}: {projection.method}, and what units see"
    return save(units_figure(found, title), out)


def strongest_in(
    store: FeatureStore, net: TorchBackbone, layer: str, units: Sequence[int], images: Images
) -> dict[int, torch.Tensor]:
    """Return for each unit the inputs ``(n, 3, S, S)`` that activate it most, from a store.

    Raises
    ------
    DataError
        If the images are not there.
    StoreMismatchError
        If the store is another net's.
    """
    store[layer]  # says at once which layers there are
    found = top_images(store, net, layer, units, store_images(store, images))
    return {unit: torch.stack([one.pixels for one in tops]) for unit, tops in found.items()}


def units_figure(units: Mapping[int, Sequence[UnitInImage]], title: str) -> Figure:
    """Draw units side by side, each as `unit_tiles` shows it.

    Parameters
    ----------
    units : mapping of int to sequence of UnitInImage
        Up to nine images a unit, the most active first.
    title : str
        What stands above all.
    """
    across = min(_ACROSS, len(units))
    down = -(-len(units) // across)
    with house_style():
        figure = Figure((4.2 * across, 2.3 * down + 0.3), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, (unit, seen) in zip(grid, units.items(), strict=False):
            axes.imshow(unit_tiles(seen))
            axes.set_title(figure_text(f"unit {unit}"))
        figure.suptitle(figure_text(title), fontsize=9)
    return figure


def unit_tiles(seen: Sequence[UnitInImage]) -> npt.NDArray[np.uint8]:
    """Return ``(height, width, 3)`` pixels: projections in a square, and beside it the parts."""
    across = 1 if len(seen) == 1 else 3 if len(seen) > 4 else 2
    blocks = [
        block([projection_pixels(one) for one in seen], across),
        block([one.crop for one in seen], across),
    ]
    gap = np.full((len(blocks[0]), _GAP_PX, 3), 255, np.uint8)
    return np.concatenate([blocks[0], gap, blocks[1]], axis=1)


def projection_pixels(one: UnitInImage) -> npt.NDArray[np.uint8]:
    """Return a projection as pixels, at its own contrast; Grad-CAM is laid over the image."""
    if one.projection.ndim == 3:
        return signal_pixels(one.projection)
    heat: Any = mpl.colormaps["inferno"](np.clip(_scaled(one.projection), 0, 1))[..., :3]
    return _bytes(0.35 * one.crop.mean(2, keepdims=True) / 255 + 0.65 * heat)


def signal_pixels(signal: FloatArray) -> npt.NDArray[np.uint8]:
    """Return a signal ``(height, width, 3)`` as pixels that are grey where it is 0."""
    return _bytes(0.5 + 0.5 * _scaled(signal))


def _scaled(signal: FloatArray) -> FloatArray:
    size = np.percentile(np.abs(signal), _CONTRAST) or np.abs(signal).max() or 1.0
    scaled: FloatArray = signal / size
    return scaled


def _bytes(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return pixels
