"""The results table for a terminal."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from decaf.escapes import visible
from decaf.report.compare import comparison
from decaf.report.grid import Grid, grids
from decaf.results import ResultTable


def terminal_table(table: ResultTable, csv_path: Path | None = None) -> RenderableType:
    """Return a results table that rich can print.

    Parameters
    ----------
    table : ResultTable
        The results.
    csv_path : pathlib.Path or None
        Where they were written, to be said below.

    Returns
    -------
    rich.console.RenderableType
        One table per data set, net, protocol and metric, each with its footnotes.
    """
    parts: list[RenderableType] = [terminal_grid(grid) for grid in grids(table)]
    if csv_path is not None:
        parts.append(_footnote(f"table: {csv_path}"))
    return Group(*parts)


def terminal_comparison(table: ResultTable) -> RenderableType:
    """Return our results beside the published ones, for rich to print.

    Parameters
    ----------
    table : ResultTable
        Results of any data sets.

    Returns
    -------
    rich.console.RenderableType
        One table with its footnotes.
    """
    return terminal_grid(comparison(table))


def terminal_grid(grid: Grid) -> RenderableType:
    """Return a table of a report, with title and footnotes, for rich to print."""
    title = Text(visible(grid.title), "bold")
    return Group(title, _table(grid), *(_footnote(note) for note in grid.notes))


def _table(grid: Grid) -> Table:
    drawn = Table(box=SIMPLE_HEAD, collapse_padding=True)
    drawn.add_column(Text(visible(grid.corner)), justify="left", no_wrap=True)
    for column in grid.columns:
        drawn.add_column(Text(visible(column)), justify="left")
    for row in grid.rows:
        label = Text(visible(f"  {row.label}" if row.published else row.label))
        cells = [Text(visible(cell)) for cell in row.cells]
        drawn.add_row(label, *cells, style="dim" if row.published else None)
    return drawn


def _footnote(text: str) -> Padding:
    return Padding(Text(visible(text)), (0, 1))
