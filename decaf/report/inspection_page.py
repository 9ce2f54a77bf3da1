"""What was found in a store, as tables, files and a page."""

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from decaf.analysis.inspection import Inspection
from decaf.analysis.statistics import LayerStatistics
from decaf.escapes import csv_cell, csv_path, figure_text
from decaf.report.drawing import COLOURS, WIDTH_IN, house_style
from decaf.report.grid import Grid, Row, per_cent
from decaf.report.kernel_figure import kernel_notes, kernel_page_figure, kernel_row
from decaf.report.page import PageTable, grid_table, image, page_figure, plain_table, write_page
from decaf.whole_files import require_writable, whole_file

FILES = ("index.html", "layers.csv", "similarity.csv", "duplicates.csv", "kernel.csv")

MOST_SHOWN = 200
"""Duplicates that the page shows; the file lists all."""

STATISTICS_NOTES = (
    "sparseness: 0 if all values are alike, 1 if one alone is not 0 (Vinje and Gallant)",
    "correlation of units: root mean square over pairs",
    "LogME: log evidence of the labels per image (You et al.); higher transfers better",
)


def statistics_grid(found: Inspection) -> Grid:
    """Return the statistics of every layer."""
    rows = statistics_rows(found.statistics)
    rows.append(Row("LogME", tuple(_number(score, 3) for score in found.logme.values())))
    rows.append(kernel_row(found.kernel))
    title = f"{found.dataset}: {found.n_looked_at} of {found.n_images} images"
    notes = (*STATISTICS_NOTES, *kernel_notes(found.kernel))
    return Grid(title, "statistic", tuple(found.statistics), tuple(rows), notes)


def statistics_rows(statistics: Mapping[str, LayerStatistics]) -> list[Row]:
    """Return a row for each figure of layers, with a cell for each layer."""
    lines: dict[str, Callable[[LayerStatistics], str]] = {
        "features": lambda s: str(s.n_features),
        "zeros, %": lambda s: per_cent(s.zeros),
        "dead units, %": lambda s: per_cent(s.dead),
        "sparseness of a unit": lambda s: _number(s.lifetime_sparseness, 2),
        "sparseness of an image": lambda s: _number(s.population_sparseness, 2),
        "mean": lambda s: f"{s.mean:.3g}",
        "variance": lambda s: f"{s.variance:.3g}",
        "correlation of units": lambda s: _number(s.correlation, 3),
        "effective rank": lambda s: _number(s.effective_rank, 1),
        "norm": lambda s: f"{s.norm_mean:.3g} ± {s.norm_std:.2g}",
    }
    return [Row(name, tuple(map(line, statistics.values()))) for name, line in lines.items()]


def similarity_grid(found: Inspection) -> Grid:
    """Return how alike every two layers are."""
    rows = tuple(
        Row(name, tuple(_number(value, 2) for value in line))
        for name, line in zip(found.similarity_names, found.similarity.tolist(), strict=True)
    )
    note = "1: equal but for rotation and scale; about 0: unrelated (Kornblith et al., debiased)"
    return Grid("linear CKA between layers", "layer", found.similarity_names, rows, (note,))


def duplicates_grid(found: Inspection) -> Grid:
    """Return how many images stand in the data set more than once."""
    kinds = dict.fromkeys(pair.kind for pair in found.duplicates)
    rows = []
    for kind in kinds:
        pairs = [pair for pair in found.duplicates if pair.kind == kind]
        labels = sum(found.labels[p.first] != found.labels[p.second] for p in pairs)
        sides = sum(
            {found.sides[p.first], found.sides[p.second]} >= {"train", "test"} for p in pairs
        )
        rows.append(Row(kind, (str(len(pairs)), str(labels), str(sides))))
    notes = [f"{len(found.duplicates)} pairs"]
    if found.files is None:
        notes.append("the images are not at hand, so only features are compared: look at them")
    columns = ("pairs", "with other labels", "train and test")
    return Grid("images that stand more than once", "kind", columns, tuple(rows), tuple(notes))


def check_folder(out: Path) -> None:
    """Refuse, before work is done, a folder into which `write_inspection` cannot write.

    Raises
    ------
    DataError
        If it cannot.
    """
    require_writable(*(out / name for name in FILES))


def write_inspection(found: Inspection, out: Path) -> tuple[Path, ...]:
    """Write what was found into a folder.

    Parameters
    ----------
    found : Inspection
        What was found.
    out : pathlib.Path
        Folder; made where it is missing.

    Returns
    -------
    tuple of pathlib.Path
        ``index.html``, a page to look at; ``layers.csv``, ``similarity.csv``, ``duplicates.csv``,
        and ``kernel.csv``, the curves of kernel analysis.
    """
    _write_csv(out / "layers.csv", *_layers_table(found))
    _write_csv(
        out / "similarity.csv",
        ["layer", *map(csv_cell, found.similarity_names)],
        [
            [csv_cell(n), *v]
            for n, v in zip(found.similarity_names, found.similarity.tolist(), strict=True)
        ],
    )
    _write_csv(
        out / "duplicates.csv",
        ["kind", "first", "second", "first_label", "second_label", "first_side", "second_side",
         "similarity", "agreement"],
        [
            [p.kind, *(escaped(column[row])
                       for column, escaped in ((found.image_ids, csv_path),
                                               (found.labels, csv_cell), (found.sides, str))
                       for row in (p.first, p.second)), p.similarity, p.agreement]
            for p in found.duplicates
        ],
    )  # fmt: skip
    _write_csv(
        out / "kernel.csv",
        ["layer", "directions", "error"],
        [
            [csv_cell(n), d, error]
            for n, one in found.kernel.items()
            if one is not None
            for d, error in enumerate(one.errors.tolist())
        ],
    )
    tables = [grid_table(statistics_grid(found)), grid_table(similarity_grid(found))]
    caption = "Norms of the images' features, layer by layer."
    page = write_page(
        "inspection.html.j2",
        out / "index.html",
        f"decaf inspect: {found.path.name}",
        tables=tables,
        figure_of_norms=page_figure(norms_figure(found), "norms", caption),
        figure_of_kernels=kernel_page_figure(found.kernel),
        summary=grid_table(duplicates_grid(found)),
        duplicates=_duplicates(found),
    )
    return (page, *(out / name for name in FILES[1:]))


def _layers_table(found: Inspection) -> tuple[list[str], list[list[object]]]:
    """Return the columns and the lines of the table of layers."""
    fields = list(vars(next(iter(found.statistics.values()))))
    rows: list[list[object]] = []
    for name, statistics in found.statistics.items():
        kernel = found.kernel[name]
        scores = ["", ""] if kernel is None else [kernel.scores.mean(), kernel.n_rows]
        values = [getattr(statistics, field) for field in fields]
        rows.append([csv_cell(name), *values, found.logme[name], *scores])
    return ["layer", *fields, "logme", "kernel_score", "kernel_rows"], rows


def norms_figure(found: Inspection) -> Figure:
    """Draw a histogram of the images' norms for each layer."""
    layers = list(found.norms)
    with house_style():
        figure = Figure((WIDTH_IN, 1.3 * len(layers) + 0.4), layout="constrained")
        column = figure.subplots(len(layers), squeeze=False)[:, 0]
        for axes, layer in zip(column, layers, strict=True):
            norms = found.norms[layer]
            axes.hist(norms, bins=min(40, max(5, int(np.sqrt(len(norms))))), color=COLOURS[0])
            axes.set_title(figure_text(layer))
            axes.set_ylabel("images")
        column[-1].set_xlabel("Euclidean norm")
    return figure


def _duplicates(found: Inspection) -> PageTable | None:
    rows = [
        (
            pair.kind,
            *(
                image(found.files, found.image_ids[row], _told(found, row))
                for row in (pair.first, pair.second)
            ),
            f"{_told(found, pair.first)}; {_told(found, pair.second)}",
            _number(pair.similarity, 3),
            _number(pair.agreement, 3),
        )
        for pair in found.duplicates[:MOST_SHOWN]
    ]
    columns = ("kind", "one", "the other", "images", "features' cosine", "pixels' correlation")
    caption = f"The first {len(rows)} of {len(found.duplicates)} pairs"
    words = frozenset({"one", "the other", "images"})
    return plain_table(caption, columns, rows, words=words) if rows else None


def _told(found: Inspection, row: int) -> str:
    return " ".join(
        filter(None, (found.image_ids[row], f"({found.labels[row]})", found.sides[row]))
    )


def _number(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _write_csv(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
