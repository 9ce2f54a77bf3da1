"""A net on one page: its layers, its first filters, what its units see, how its features lie."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from decaf.analysis.sample import layer_rows, sample_rows
from decaf.analysis.statistics import layer_statistics
from decaf.backbones import TorchBackbone
from decaf.errors import DataError
from decaf.escapes import figure_text
from decaf.insight.asked import Projection
from decaf.insight.loaded import loaded
from decaf.insight.units import UnitInImage, first_filters, see_units, units_of
from decaf.records import Images, Net, takes_records
from decaf.report.drawing import COLOURS, WIDTH_IN, house_style
from decaf.report.grid import Grid
from decaf.report.inspection_page import STATISTICS_NOTES, statistics_rows
from decaf.report.page import PageFigure, grid_table, page_figure, plain_table, write_page
from decaf.report.tiles import block
from decaf.report.unit_views import signal_pixels, strongest_in, unit_tiles
from decaf.store import FeatureStore
from decaf.whole_files import require_output

_SAMPLE = 500
_FILTER_PX = 44


@dataclass(frozen=True)
class _Drawn:
    """An image of a page, with what is said of it."""

    name: str
    source: str
    caption: str


@dataclass(frozen=True)
class _LayerUnits:
    """The units of a layer."""

    layer: str
    caption: str
    units: tuple[_Drawn, ...]


@takes_records
def write_net_page(
    net: Net,
    store: str | Path,
    *,
    out: str | Path = "net.html",
    projection: Projection = Projection(),
    images: Images = Images(),
    invariance: Sequence[str | Path] = (),
    device: str = "auto",
) -> Path:
    """Write what a net is and sees as one page: a single file, no network.

    Parameters
    ----------
    net : Net
        Backbone, weights, seed and allow_code are used.
    store : str or pathlib.Path
        A store of its features; units of all its layers are shown.
    out : str or pathlib.Path
        The page.
    projection : Projection
        Its units and method are used.
    images : Images
        Where the images of the store are.
    invariance : sequence of str or pathlib.Path
        Tables that `decaf visualize invariance` wrote.
    device : str
        ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    ConfigError
        An option is wrong, or the method has no rule for the net.
    DataError
        Images or tables are not there.
    StoreMismatchError
        The store is another net's.
    """
    page = Path(out)
    require_output(page, ".html", inputs=[store, *invariance])
    projection.only("a page of a net", "units", "method")
    units_of(projection.units)
    curves = [_curves(Path(table), number) for number, table in enumerate(invariance)]
    opened = loaded(net, device)
    with FeatureStore(Path(store)) as features:
        shown = [_units(opened, features, layer, projection, images) for layer in features.layers]
        return write_page(
            "net.html.j2",
            page,
            f"decaf: what {opened.name} sees",
            facts=_facts(opened, features),
            method=projection.method,
            layers=_layers(opened, features),
            filters=_filters(opened),
            shown=shown,
            statistics=grid_table(_statistics(features)),
            curves=curves,
        )


def _facts(net: TorchBackbone, store: FeatureStore) -> list[tuple[str, str]]:
    side = net.preprocessing.input_size_px
    return [
        ("net", net.name),
        ("weights", f"{Path(net.weights).name} ({net.weights_sha256[:12]})"),
        ("input", f"{side} x {side} px"),
        ("images", f"{int(store.done.sum())} of {store.provenance.dataset}"),
        ("view", ", ".join(store.provenance.views)),
    ]


def _layers(net: TorchBackbone, store: FeatureStore) -> Any:
    rows = [
        (name, " x ".join(map(str, net.shape(name))), "yes" if name in store.layers else "")
        for name in sorted(net.layers, key=net.depth)
    ]
    columns = ("layer", "gives", "on this page")
    caption = f"{len(rows)} layers, from the pixels on"
    return plain_table(caption, columns, rows, words=frozenset(columns), filter="Show layers with")


def _filters(net: TorchBackbone) -> _Drawn:
    layer, filters = first_filters(net)
    across = int(np.ceil(len(filters) ** 0.5))
    drawn = block([signal_pixels(one) for one in filters], across, _FILTER_PX)
    height, width = filters.shape[1:3]
    caption = (
        f"{len(filters)} of {net.shape(layer)[0]} filters of {layer}, {height} x {width} px, each "
        "at its own contrast"
    )
    return _Drawn(layer, _address(drawn, "PNG"), caption)


def _units(
    net: TorchBackbone, store: FeatureStore, layer: str, projection: Projection, images: Images
) -> _LayerUnits:
    n_units = net.shape(layer)[0]
    units = units_of(projection.units)
    own = [unit for unit in units if unit < n_units] or units
    strongest = strongest_in(store, net, layer, own, images)
    seen = see_units(net, strongest, layer, projection.method)
    drawn = tuple(_unit(unit, some) for unit, some in seen.items())
    return _LayerUnits(layer, f"{len(drawn)} of {n_units} units", drawn)


def _unit(unit: int, seen: Sequence[UnitInImage]) -> _Drawn:
    strongest, weakest = seen[0].activation, seen[-1].activation
    caption = f"activation {strongest:.3g} to {weakest:.3g}"
    return _Drawn(str(unit), _address(unit_tiles(seen), "JPEG", quality=82), caption)


def _address(pixels: npt.NDArray[np.uint8], form: str, **options: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, optimize=True, **options)
    return f"data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _statistics(store: FeatureStore) -> Grid:
    rows = sample_rows(store, _SAMPLE)
    found = {layer: layer_statistics(layer_rows(store, layer, rows)) for layer in store.layers}
    title = f"features of {len(rows)} images, evenly spaced"
    lines = tuple(statistics_rows(found))
    return Grid(title, "statistic", tuple(found), lines, STATISTICS_NOTES[:2])


def _curves(table: Path, number: int) -> PageFigure:
    """Return mean distances of moved images, layer by layer."""
    try:
        found = pd.read_csv(table)
        transform = str(found.columns[1])
        means = found.groupby(["layer", transform], sort=False)["relative_distance"].mean()
        n_images = found["path"].nunique()
        curves = {layer: means[layer] for layer in dict.fromkeys(found["layer"])}
    except (OSError, ValueError, LookupError) as error:
        raise DataError(
            f"asked for the curves in {table}, found: {error}; give a table that decaf visualize "
            "invariance wrote"
        ) from error
    with house_style(f"curves-{number}"):
        figure = Figure((WIDTH_IN, 2.6), layout="constrained")
        axes = figure.subplots()
        for colour, (layer, curve) in zip(COLOURS * len(curves), curves.items(), strict=False):
            axes.plot(curve.index, curve.to_numpy(), color=colour, label=figure_text(str(layer)))
        axes.set_ylim(bottom=0)
        axes.set_xlabel(figure_text(transform))
        axes.set_ylabel("distance to the unmoved image")
        axes.legend()
    caption = (
        f"{transform}: distance of features to those of the unmoved image, as a share of the mean "
        f"distance between two images; mean of {n_images} images"
    )
    return page_figure(figure, f"curves-{number}", caption)
