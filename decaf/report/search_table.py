"""How good layers, dimensions and codes are for search: a table, a file, and what each costs."""

import csv
import re
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from decaf.escapes import csv_cell, figure_text
from decaf.report.drawing import DASHES, WIDTH_IN, house_style
from decaf.report.grid import Grid, Row, per_cent
from decaf.search_scores import SearchScore
from decaf.whole_files import whole_file

SCORE = "UKBench"
"""The one measure that is no share: from 0 to 4."""
_MARKS = ("o", "^", "x", "s", "D", "v", "P")


def search_grid(
    scores: Sequence[SearchScore], floors: Mapping[str, float], title: str, *, reduced: bool = False
) -> Grid:
    """Return the table of an evaluation.

    Parameters
    ----------
    scores : sequence of SearchScore
        Of `decaf.search_scores.evaluate_search`.
    floors : mapping of str to float
        The measures of a random order.
    title : str
        Of the table.
    reduced : bool
        Whether a PCA was learnt.
    """
    names = list(scores[0].values)
    rows = [
        Row(
            f"{one.layer}, {one.n_features}, {one.code}",
            (
                *(_told(name, one.values[name]) for name in names),
                f"{one.bytes_a_row:.0f}",
                f"{one.query_ms:.2f}",
                f"{one.build_s:.1f}",
            ),
        )
        for one in scores
    ]
    if floors:
        told = (_told(name, floors[name]) if name in floors else "–" for name in names)
        rows.append(Row("a random order", (*told, "", "", "")))
    measures = [name if name == SCORE else f"{name}, %" for name in names]
    columns = (*measures, "bytes a row", "ms a query", "build, s")
    note = "PCA is learnt on the rows that are ranked: better than on others"
    return Grid(title, "layer, dimensions, code", columns, tuple(rows), (note,) if reduced else ())


def _told(name: str, value: float) -> str:
    return f"{value:.2f}" if name == SCORE else per_cent(value)


def write_scores(scores: Sequence[SearchScore], out: Path) -> Path:
    """Write an evaluation as CSV, fractions as they are.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    names = list(scores[0].values)
    with whole_file(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        costs = ["bytes_a_row", "query_ms", "build_s"]
        lines.writerow(["layer", "n_features", "code", *names, *costs])
        lines.writerows(
            [csv_cell(one.layer), one.n_features, csv_cell(one.code),
             *one.values.values(), *(getattr(one, cost) for cost in costs)]
            for one in scores
        )  # fmt: skip
    return out


def pareto_figure(scores: Sequence[SearchScore]) -> Figure:
    """Draw accuracy against bytes a row, and join what nothing smaller beats, layer by layer.

    A mark says which kind of code it is: ``spherical`` of ``spherical:64``, ``PQ`` of ``PQ16``.
    """
    name = next(iter(scores[0].values))
    kinds = dict.fromkeys(_kind_of(one.code) for one in scores)
    with house_style():
        figure = Figure((WIDTH_IN, 3.6), layout="constrained")
        axes = figure.subplots()
        for number, layer in enumerate(dict.fromkeys(one.layer for one in scores)):
            own = [one for one in scores if one.layer == layer]
            points = sorted((one.bytes_a_row, one.values[name]) for one in own)
            best = [
                (size, value)
                for place, (size, value) in enumerate(points)
                if all(value > other for _, other in points[:place])
            ]
            (line,) = axes.plot(*zip(*best, strict=True), linestyle=DASHES[number % len(DASHES)],
                                label=figure_text(layer))  # fmt: skip
            for kind, mark in zip(kinds, cycle(_MARKS)):
                of_kind = [(x.bytes_a_row, x.values[name]) for x in own if _kind_of(x.code) == kind]
                axes.plot(
                    *np.reshape(of_kind, (-1, 2)).T, mark, color=line.get_color(), markersize=4
                )
        for kind, mark in zip(kinds, cycle(_MARKS)):
            axes.plot([], [], mark, color="grey", markersize=4, label=figure_text(kind))
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
        axes.set_xlabel("bytes a row")
        axes.set_ylabel(name)
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _kind_of(code: str) -> str:
    return code if code == "float32" else re.split("[:0-9]", code)[0]
