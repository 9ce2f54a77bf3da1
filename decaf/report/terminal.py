"""The results table for a terminal."""

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from decaf.escapes import visible
from decaf.report.compare import comparison
from decaf.report.grid import Grid, grids
from decaf.results import ResultTable

_MOST_COLUMNS = 10_000
_WIDEST_WORD = 24  # a longer one in a line's label is folded, so that figures have room


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
    """Return our results beside the published ones, for rich to print."""
    return terminal_grid(comparison(table))


def terminal_grid(grid: Grid) -> RenderableType:
    """Return a table of a report, with title and footnotes, for rich to print."""
    title = Text(visible(grid.title), "bold")
    return Group(title, _table(grid), *(_footnote(note) for note in grid.notes))


def print_whole(renderable: RenderableType) -> None:
    """Print on stdout, wider than a terminal or 80 columns if figures would be cut otherwise."""
    wide = Console(width=_MOST_COLUMNS)
    least = Measurement.get(wide, wide.options, renderable).minimum
    Console(width=max(Console().width, least)).print(renderable)


def _table(grid: Grid) -> Table:
    drawn = Table(box=SIMPLE_HEAD, collapse_padding=True)
    words = [
        word for text in (grid.corner, *(row.label for row in grid.rows)) for word in text.split()
    ]
    least = min(max(map(cell_len, words), default=1) + 2, _WIDEST_WORD)
    corner = Text(visible(grid.corner))
    drawn.add_column(corner, justify="left", overflow="fold", min_width=least)
    for number, column in enumerate(map(visible, grid.columns)):
        widest = max(map(cell_len, [column, *(visible(row.cells[number]) for row in grid.rows)]))
        drawn.add_column(Text(column), justify="left", no_wrap=True, min_width=widest)
    for row in grid.rows:
        label = Text(visible(f"  {row.label}" if row.published else row.label))
        cells = [Text(visible(cell)) for cell in row.cells]
        drawn.add_row(label, *cells, style="dim" if row.published else None)
    return drawn


def _footnote(text: str) -> Padding:
    return Padding(Text(visible(text)), (0, 1))
