"""Small images side by side: what units of a layer respond to."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from decaf.analysis.top_images import TopImage
from decaf.escapes import figure_text
from decaf.report.drawing import house_style

_TILE_PX, _GAP_PX, _ACROSS = 96, 3, 4


def top_images_figure(units: Mapping[int, Sequence[TopImage]], layer: str) -> Figure:
    """Draw the images that activate each unit most, three by three.

    Parameters
    ----------
    units : mapping of int to sequence of TopImage
        Up to nine images a unit.
    layer : str
        Name of the layer.

    Returns
    -------
    matplotlib.figure.Figure
        One block a unit; each tile is what the unit sees where it is most active.
    """
    across = min(_ACROSS, len(units))
    down = -(-len(units) // across)
    with house_style():
        figure = Figure((2.1 * across, 2.3 * down), layout="constrained")
        grid = figure.subplots(down, across, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, (unit, images) in zip(grid, units.items(), strict=False):
            axes.imshow(_block([image.crop for image in images]))
            axes.set_title(figure_text(f"{layer}, unit {unit}"))
    return figure


def _block(crops: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
    step = _TILE_PX + _GAP_PX
    block = np.full((3 * step - _GAP_PX, 3 * step - _GAP_PX, 3), 255, np.uint8)
    for number, crop in enumerate(crops):
        y, x = (step * index for index in divmod(number, 3))
        tile = Image.fromarray(crop).resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
        block[y : y + _TILE_PX, x : x + _TILE_PX] = np.asarray(tile)
    return block
