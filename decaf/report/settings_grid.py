"""A nested search of settings as a table."""

from collections.abc import Hashable, Mapping
from typing import Any

from decaf.metrics import METRICS
from decaf.report.grid import Grid, Row, per_cent
from decaf.results import SearchTable

_MOST_ROWS = 20


def settings_grid(table: SearchTable) -> Grid:
    """Return a search's settings, the most chosen first, with what the choices are worth.

    Parameters
    ----------
    table : SearchTable
        The search.

    Returns
    -------
    Grid
        The first of the settings; notes say the outer score, and what the inner one exceeds it by.
    """
    n_splits, frame = len(table.chosen), table.to_frame()
    rows = [_row(one, n_splits) for one in frame.head(_MOST_ROWS).to_dict("records")]
    title = (table.dataset, table.backbone, f"protocol {table.protocol}", _label(table))
    columns = ("inner", "chosen", "outer where chosen")
    return Grid(" · ".join(title), "setting", columns, tuple(rows), tuple(_notes(table)))


def _label(table: SearchTable) -> str:
    return f"{METRICS[table.metric].label}, %"


def _row(one: Mapping[Hashable, Any], n_splits: int) -> Row:
    inner, outer = per_cent(one["inner_mean"], one["inner_std"]), per_cent(one["outer_mean"])
    return Row(one["setting"], (inner, f"{one['won']} of {n_splits}", outer))


def _notes(table: SearchTable) -> list[str]:
    outer, inner = table.outer, table.inner_of_chosen
    ends = f"{per_cent(outer.ci95_low)} to {per_cent(outer.ci95_high)}"
    over = f"over {outer.n} splits, 95 % interval {ends}" if outer.n > 1 else "on one split"
    optimism = f"{100 * (inner.mean - outer.mean):+.1f} points"
    drawn = "all" if len(table.inner) == table.n_space else f"{len(table.inner)} drawn"
    hidden = len(table.inner) - _MOST_ROWS
    notes = [
        f"outer, of test rows, scored once by each split's choice: {per_cent(outer.mean)} {over}",
        f"inner, of training rows, which chose: {per_cent(inner.mean)} ({optimism})",
        f"settings tried: {drawn} of {table.n_space}, seed {table.seed}; C is chosen with each",
    ]
    if table.metric in {"top1", "mean_per_class"}:
        notes.append(f"chance: {per_cent(1 / table.n_classes)} %")
    return notes + ([f"{hidden} settings more are in the table's file"] if hidden > 0 else [])
