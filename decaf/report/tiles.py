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
            axes.imshow(block([image.crop for image in images]))
            axes.set_title(figure_text(f"{layer}, unit {unit}"))
    return figure


def block(
    tiles: Sequence[npt.NDArray[np.uint8]], across: int = 3, side_px: int = _TILE_PX
) -> npt.NDArray[np.uint8]:
    """Return images ``(height, width, 3)`` side by side in a square, each made a square."""
    step = side_px + _GAP_PX
    made = np.full((across * step - _GAP_PX, across * step - _GAP_PX, 3), 255, np.uint8)
    for number, pixels in enumerate(tiles):
        y, x = (step * index for index in divmod(number, across))
        tile = Image.fromarray(pixels).resize((side_px, side_px), Image.Resampling.LANCZOS)
        made[y : y + side_px, x : x + side_px] = np.asarray(tile)
    return made
