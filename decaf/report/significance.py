"""Paired comparisons of the rows of a table, as a table."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from decaf.analysis.paired import METHODS, Pair, pairs_with_best
from decaf.report.grid import Grid, Row, per_cent
from decaf.report.telling import head, telling
from decaf.results import ResultTable

_NOTES = (
    "the interval is that of a single comparison, not corrected for their number",
    "p is corrected for all pairs of rows over the same splits (Holm): which is best was not known",
)
_NO_TEST = "–: no interval and no p, as the test does not hold here: "


def differences(table: ResultTable, paths: Sequence[Path] = ()) -> Grid:
    """Return the best row of each set of splits minus every other one.

    Raises
    ------
    DataError
        No two rows were measured on the same splits.
    """
    pairs, names = pairs_with_best(table, paths), _names(table)
    rows = tuple(
        Row(f"{names[pair.first.key]} − {names[pair.second.key]}", _cells(pair)) for pair in pairs
    )
    columns = ("a class", "diff.", "95 % interval", "p (Holm)")
    n_splits = " or ".join(map(str, sorted({pair.test.n_splits for pair in pairs})))
    over = "one split" if n_splits == "1" else f"{n_splits} splits"
    notes = [f"over {over}; difference in points"]
    methods = dict.fromkeys(pair.test.method for pair in pairs if not pair.untested)
    notes += [METHODS[method] for method in methods]
    if methods:
        notes += _NOTES
    reasons = dict.fromkeys(pair.untested for pair in pairs if pair.untested)
    notes += [_NO_TEST + "; ".join(reasons)] if reasons else []
    return Grid(
        "the best minus every other over the same splits", "pair", columns, rows, tuple(notes)
    )


def differences_frame(table: ResultTable, paths: Sequence[Path] = ()) -> pd.DataFrame:
    """Return the comparisons of :func:`differences` as numbers: fractions, empty where untested.

    Returns
    -------
    pandas.DataFrame
        One row a pair.

    Raises
    ------
    DataError
        No two rows were measured on the same splits.
    """
    names = _names(table)
    return pd.DataFrame(
        {
            "dataset": pair.first.dataset,
            "protocol": pair.first.protocol,
            "shots": pair.first.shots,
            "train_share": pair.first.train_share,
            "first": names[pair.first.key],
            "second": names[pair.second.key],
            **asdict(pair.test),
            "p_holm": pair.p_holm,
            "n_pairs": pair.n_pairs,
            "untested": pair.untested,
        }
        for pair in pairs_with_best(table, paths)
    ).astype({"shots": "Int64"})


def _names(table: ResultTable) -> dict[str, str]:
    return telling(table.results, lambda row: f"{head(row)} on {row.layer}")


def _cells(pair: Pair) -> tuple[str, ...]:
    test, several = pair.test, pair.first.drawn
    if math.isnan(test.ci95_low):
        return (several, _points(test.difference), "–", "–")
    interval = f"{_points(test.ci95_low)} to {_points(test.ci95_high)}"
    p = pair.p_holm
    told = "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
    return (several, _points(test.difference), interval, told)


def _points(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{per_cent(abs(value))}"
