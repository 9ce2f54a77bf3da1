"""Paired comparisons of the rows of a table, as a table."""

import math

from decaf.analysis.paired import Pair, pairs_with_best
from decaf.report.grid import Grid, Row, per_cent
from decaf.results import Result, ResultTable

_NOTES = (
    "difference in points; interval and p by the corrected resampled t-test (Nadeau and Bengio)",
    "the more rows are compared, the more of them differ by chance; p is not corrected for that",
)


def differences(table: ResultTable) -> Grid:
    """Return the best row of each set of splits minus every other one.

    Parameters
    ----------
    table : ResultTable
        Results of one evaluation or several.

    Returns
    -------
    Grid
        One line a pair.

    Raises
    ------
    DataError
        No two rows were measured on the same splits.
    """
    pairs = pairs_with_best(table)
    rows = tuple(
        Row(f"{_name(pair.first, table)} − {_name(pair.second, table)}", _cells(pair))
        for pair in pairs
    )
    columns = ("a class", "diff.", "95 % interval", "p")
    n_splits = " or ".join(map(str, sorted({pair.test.n_splits for pair in pairs})))
    notes = (f"over {n_splits} splits; {_NOTES[0]}", *_NOTES[1:])
    return Grid("the best minus every other over the same splits", "pair", columns, rows, notes)


def _name(result: Result, table: ResultTable) -> str:
    """Return what tells a row of the table from its others."""
    told = ("dataset", "backbone", "protocol", "pool", "view", "normalize")
    varying = [name for name in told if len({getattr(r, name) for r in table}) > 1]
    return ", ".join(
        [*(getattr(result, name) for name in varying), f"{result.head} on {result.layer}"]
    )


def _cells(pair: Pair) -> tuple[str, ...]:
    test, shots = pair.test, pair.first.shots
    several = "all" if shots is None else str(shots)
    if math.isnan(test.ci95_low):
        return (several, _points(test.difference), "–", "–")
    interval = f"{_points(test.ci95_low)} to {_points(test.ci95_high)}"
    p = "–" if math.isnan(test.p) else "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"
    return (several, _points(test.difference), interval, p)


def _points(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{per_cent(abs(value))}"
