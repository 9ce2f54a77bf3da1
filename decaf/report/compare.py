"""Our results and the published ones side by side, over all data sets."""

import math

from decaf.report.grid import RANDOM, Grid, Row, ours, per_cent, published
from decaf.results import Aggregate, ResultTable

_COLUMNS = ("protocol", "layer and head", "ours", "published", "diff.", "inside")
_NOTES = (
    "mean ± standard deviation over splits, in per cent; difference in points",
    "inside: by no more than half of our 95 % interval plus the printed deviation, if any",
)


def comparison(table: ResultTable) -> Grid:
    """Return every result that has a published figure beside that figure.

    Parameters
    ----------
    table : ResultTable
        Results of any data sets, nets and protocols.

    Returns
    -------
    Grid
        One line per result over splits; a last note counts those without a published figure.
    """
    rows = table.aggregates()
    compared = [(a, a.published) for a in rows if a.published is not None]
    without = len(rows) - len(compared)
    notes = (*_NOTES, f"without a published figure: {without}") if without else _NOTES
    return Grid(
        "ours and published", "data set", _COLUMNS, tuple(_row(*pair) for pair in compared), notes
    )


def _row(a: Aggregate, printed: float) -> Row:
    shots = "" if a.shots is None else f" {a.shots}"
    cells = (
        f"{a.protocol}{shots}",
        f"{a.layer} {a.head}",
        ours(a),
        published(a),
        *_difference(a, printed),
    )
    return Row(f"{a.dataset} ({RANDOM})" if a.weights == RANDOM else a.dataset, cells)


def _difference(a: Aggregate, printed: float) -> tuple[str, str]:
    """Return the difference, and whether the two intervals allow it."""
    difference = a.mean - printed
    text = f"{'+' if difference >= 0 else '−'}{per_cent(abs(difference))}"
    if math.isnan(a.ci95_high) and a.published_deviation is None:
        return text, "–"
    half = 0.0 if math.isnan(a.ci95_high) else a.ci95_high - a.mean
    allowed = half + (a.published_deviation or 0.0)
    return text, "yes" if abs(difference) <= allowed else "no"
