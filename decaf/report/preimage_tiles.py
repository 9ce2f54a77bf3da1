"""Rows of images that a net sees as asked, and below them the energy of each search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure

from decaf.escapes import figure_text
from decaf.insight.preimage import Preimages
from decaf.report.drawing import house_style

_TILE_IN, _WIDTH_IN = 1.5, 4.8


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


def tiles_of(titles: Sequence[str], images: torch.Tensor) -> list[Tile]:
    """Return tiles of ``(n, 3, S, S)`` uint8 images."""
    pixels = images.permute(0, 2, 3, 1).cpu().numpy()
    return [Tile(title, one) for title, one in zip(titles, pixels, strict=True)]


def preimages_figure(rows: Sequence[Sequence[Tile]], found: Mapping[str, Preimages]) -> Figure:
    """Draw rows of images, and below them the energy of each search, step by step.

    Parameters
    ----------
    rows : sequence of sequence of Tile
        The images.
    found : mapping of str to Preimages
        The searches; the energy's mean over starts is drawn.
    """
    across = max(map(len, rows))
    side = max(_TILE_IN, min(2.4, _WIDTH_IN / across))
    width, height = max(side * across, _WIDTH_IN), (side + 0.2) * len(rows)
    with house_style():
        figure = Figure((width, height + 1.9), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[height, 1.9])
        above, below = parts
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
        axes.set_ylabel("energy")
        axes.legend(fontsize=6, ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
        if all((one.energies > 0).all() for one in found.values()):
            axes.set_yscale("log")
    return figure
