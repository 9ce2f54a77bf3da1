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
        Row(_name(pair.first, table), (_name(pair.second, table), *_cells(pair))) for pair in pairs
    )
    columns = ("the other", "difference", "95 % interval", "p", "splits")
    return Grid("the best row minus every other one", "best", columns, rows, _NOTES)


def _name(result: Result, table: ResultTable) -> str:
    """Return what tells a row of the table from its others."""
    told = ("dataset", "backbone", "protocol", "pool", "view", "normalize")
    varying = [name for name in told if len({getattr(r, name) for r in table}) > 1]
    parts = [*(getattr(result, name) for name in varying), f"{result.head} on {result.layer}"]
    if len({r.shots for r in table}) > 1 and result.shots is not None:
        parts.append(f"{result.shots} a class")
    return ", ".join(parts)


def _cells(pair: Pair) -> tuple[str, ...]:
    test = pair.test
    if math.isnan(test.ci95_low):
        return (_points(test.difference), "–", "–", str(test.n_splits))
    interval = f"{_points(test.ci95_low)} to {_points(test.ci95_high)}"
    p = "–" if math.isnan(test.p) else "< 0.001" if test.p < 0.001 else f"{test.p:.3f}"
    return (_points(test.difference), interval, p, str(test.n_splits))


def _points(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{per_cent(abs(value))}"
