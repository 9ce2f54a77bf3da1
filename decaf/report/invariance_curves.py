"""How features change when images are moved: a figure, and a table of every image."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from decaf.escapes import csv_cell, csv_path, figure_text
from decaf.insight.asked import Moves
from decaf.insight.invariance import Invariance, invariance
from decaf.insight.loaded import loaded
from decaf.insight.shown_images import shown_images
from decaf.records import Net, takes_records
from decaf.report.drawing import COLOURS, INK, check_output, house_style, save
from decaf.types import FloatArray
from decaf.whole_files import require_output, whole_file

_SINGLE = 5
_SIDE_IN = 2.3
_UNITS = {
    "translate": "pixels downwards",
    "scale": "enlarged by",
    "rotate": "degrees to the left",
}


@takes_records
def plot_invariance(
    net: Net,
    images: str | Path,
    *,
    out: Path,
    classes: Path | None = None,
    folder: Path | None = None,
    limit: int = 50,
    moves: Moves = Moves(),
    device: str = "auto",
) -> str:
    """Write how features and probabilities change when images are moved.

    Parameters
    ----------
    net : Net
        Its backbone, weights, layers, seed and allow_code; the layers are the net's own of
        pool5,fc6,fc7 if not given.
    images : str or pathlib.Path
        A data set as `decaf.extract` takes it, or a store.
    out : pathlib.Path
        The figure; the values of every image go to a ``.csv`` file of the same name beside it.
    classes : pathlib.Path, optional
        Names of the net's classes, one a line.
    folder : pathlib.Path, optional
        Where the images of a store are.
    limit : int
        At most so many images, evenly spaced.
    moves : Moves
        What is done to the images.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Returns
    -------
    str
        The files.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If images are missing or cannot be read, or a file cannot be written.
    BackboneError
        If the net, its weights or a layer is not usable.
    """
    table = out.with_suffix(".csv")
    check_output(out)
    require_output(table, ".csv", inputs=[images, classes or ""])
    shown = shown_images(images, limit, folder=folder)
    opened = loaded(net, device)
    names = net.layer_names or opened.default_layers
    found = invariance(opened, shown, names, moves, classes=classes)
    save(invariance_figure(found), out)
    write_invariance(found, table)
    return f"{out}\n{table}"


def invariance_figure(found: Invariance) -> Figure:
    """Draw one image as it is moved, and a panel for each layer, the class and the prediction.

    Thin lines are the first five images, the thick one is the mean of all, and the band one
    standard deviation. Distances are shares of the mean distance between two images.
    """
    across = min(3, len(found.layers) + 2)
    panels = _panels(found)
    down = -(-len(panels) // across)
    with house_style():
        figure = Figure((_SIDE_IN * across, 1.1 + 1.9 * down), layout="constrained")
        parts: Any = figure.subfigures(2, 1, height_ratios=[1.1, 1.9 * down])
        strip, below = parts
        row = strip.subplots(1, len(found.shown), squeeze=False)[0]
        for axes, image, amount in zip(row, found.shown, found.shown_amounts, strict=True):
            axes.imshow(image)
            axes.set_title(f"{amount:g}", loc="center", fontweight="normal")
            axes.set_axis_off()
        grid = below.subplots(down, across, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, found.amounts, panel)
        for axes in grid[max(0, len(panels) - across) : len(panels)]:
            axes.set_xlabel(_UNITS[found.transform])
    return figure


@dataclass(frozen=True)
class _Panel:
    """Values ``(n_images, n_amounts)``, or a single row of what is a share of images."""

    title: str
    said: str
    values: FloatArray
    top: float = 1.0


def _panels(found: Invariance) -> list[_Panel]:
    drawn = [found.relative[:_SINGLE].max(), (found.relative.mean(0) + found.relative.std(0)).max()]
    top = max(1.0, float(max(drawn)))
    panels = [
        _Panel(layer, "relative distance", found.relative[:, :, number], top)
        for number, layer in enumerate(found.layers)
    ]
    if found.probability is not None and found.unchanged is not None:
        whose = "true class" if found.told else "first guess"
        panels.append(_Panel(whose, "probability", found.probability))
        panels.append(_Panel("same first guess", "share of images", found.unchanged.mean(0)[None]))
    return panels


def _draw(axes: Axes, amounts: Sequence[float], panel: _Panel) -> None:
    values = panel.values
    mean, spread = values.mean(0), values.std(0)
    if len(values) > 1:
        for row, colour in zip(values[:_SINGLE], COLOURS, strict=False):
            axes.plot(amounts, row, color=colour, linewidth=0.7, alpha=0.8)
        axes.fill_between(amounts, mean - spread, mean + spread, color=INK, alpha=0.12, linewidth=0)
    axes.plot(amounts, mean, color=INK, linewidth=1.8)
    axes.set_title(figure_text(panel.title))
    axes.set_ylabel(panel.said)
    axes.set_ylim(0, 1.04 * panel.top)


def write_invariance(found: Invariance, path: Path) -> None:
    """Write a line for every image, amount and layer."""
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(
            ["path", found.transform, "layer", "distance", "relative_distance", "probability",
             "unchanged"]
        )  # fmt: skip
        for i, j, k in np.ndindex(found.distances.shape):
            told = ["", ""]
            if found.probability is not None and found.unchanged is not None:
                told = [f"{found.probability[i, j]:.6g}", str(int(found.unchanged[i, j]))]
            distances = [f"{one[i, j, k]:.6g}" for one in (found.distances, found.relative)]
            name = csv_path(found.image_ids[i])
            lines.writerow([name, found.amounts[j], csv_cell(found.layers[k]), *distances, *told])
