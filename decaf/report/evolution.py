"""How units change while a net is trained: Zeiler and Fergus's figure 4."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from decaf.errors import DataError
from decaf.escapes import figure_text
from decaf.insight.loaded import loaded
from decaf.insight.units import UnitInImage, deepest_maps, see_units, strongest_of, units_of
from decaf.prediction import find_images
from decaf.progress import show_progress
from decaf.records import Net, takes_records
from decaf.report.drawing import check_output, house_style, save
from decaf.report.unit_views import unit_tiles

_MOST = 6


@takes_records
def plot_evolution(
    net: Net,
    epochs: Path,
    images: Sequence[str],
    *,
    units: str = "0-3",
    out: Path,
    device: str = "auto",
) -> Path:
    """Draw what activates units most, epoch by epoch of a fine-tuning.

    Parameters
    ----------
    net : Net
        The net that was fine-tuned: its backbone and allow_code, and one layer; the deepest maps
        if none is given.
    epochs : pathlib.Path
        Folder of the weights of its epochs, as a recipe with ``keep_epochs=yes`` writes them.
    images : sequence of str
        Image files, folders and lists.
    units : str
        Units, as ``0-15,40``.
    out : pathlib.Path
        The figure's file.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        If an option is wrong, or there is no such unit.
    DataError
        If there are no weights, or an image cannot be read.
    """
    check_output(out, images)
    numbers, paths = units_of(units), list(find_images(images))
    files = sorted(epochs.glob("epoch-*.safetensors"))
    if not files:
        raise DataError(
            f"asked for the epochs in {epochs}, found no epoch-*.safetensors; run decaf finetune "
            "with --recipe keep_epochs=yes"
        )
    shown = [files[number] for number in shown_epochs(len(files))]
    seen: dict[str, Mapping[int, Sequence[UnitInImage]]] = {}
    layer = ""
    with show_progress("looking", len(shown), "epochs", quiet=False) as advance:
        for file in shown:
            opened = loaded(replace(net, weights=str(file)), device)
            layer = net.layer_names[0] if net.layer_names else deepest_maps(opened)
            strongest = strongest_of(opened, paths, layer, numbers)
            first = {unit: pixels[:1] for unit, pixels in strongest.items()}
            seen[f"epoch {int(file.stem.partition('-')[2])}"] = see_units(opened, first, layer)
            advance(1)
    return save(evolution_figure(seen, layer), out)


def shown_epochs(n_epochs: int) -> list[int]:
    """Return at most six epochs: the start, the end, and others closer together at the start."""
    if n_epochs <= _MOST:
        return list(range(n_epochs))
    steps = np.geomspace(1, n_epochs, _MOST).round().astype(int) - 1
    return sorted(set(steps.tolist()))


def evolution_figure(seen: Mapping[str, Mapping[int, Sequence[UnitInImage]]], layer: str) -> Figure:
    """Draw a row for each unit, a column for each epoch: the projection beside the image part."""
    units = list(next(iter(seen.values())))
    with house_style():
        figure = Figure((1.9 * len(seen), 1.15 * len(units) + 0.3), layout="constrained")
        grid = figure.subplots(len(units), len(seen), squeeze=False)
        for column, (name, found) in zip(grid.T, seen.items(), strict=True):
            column[0].set_title(name)
            for axes, unit in zip(column, units, strict=True):
                axes.imshow(unit_tiles(found[unit]))
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines[:].set_visible(False)
        for axes, unit in zip(grid[:, 0], units, strict=True):
            axes.set_ylabel(figure_text(f"unit {unit}"))
        figure.suptitle(figure_text(layer), fontsize=9)
    return figure
