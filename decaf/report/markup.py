"""The results table as Markdown and as LaTeX."""

from collections.abc import Iterable

from decaf.escapes import latex_text, markdown_text
from decaf.report.grid import Grid, Row, grids
from decaf.results import ResultTable


def markdown_table(table: ResultTable) -> str:
    """Return a results table in Markdown.

    Returns
    -------
    str
        One table per data set, net, protocol and metric, with title and footnotes.
    """
    return "\n".join(markdown_grid(grid) for grid in grids(table))


def latex_table(table: ResultTable) -> str:
    r"""Return a results table in LaTeX; it needs ``\usepackage{booktabs}``.

    Returns
    -------
    str
        One ``table`` environment per data set, net, protocol and metric.
    """
    return "\n".join(latex_grid(grid) for grid in grids(table))


def markdown_grid(grid: Grid) -> str:
    """Return one table of a report in Markdown."""
    lines = [
        f"**{markdown_text(grid.title)}**",
        "",
        _pipes(map(markdown_text, (grid.corner, *grid.columns))),
        "|---" + "|---:" * len(grid.columns) + "|",
        *(_pipes((_markdown_label(row), *map(markdown_text, row.cells))) for row in grid.rows),
        "",
        *(f"- {markdown_text(note)}" for note in grid.notes),
        "",
    ]
    return "\n".join(lines)


def _markdown_label(row: Row) -> str:
    label = markdown_text(row.label)
    return f"*{label}*" if row.published else label


def _pipes(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def latex_grid(grid: Grid) -> str:
    """Return one table of a report in LaTeX."""
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{latex_text(grid.title)}.}}",
        rf"  \begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        r"    \toprule",
        f"    {_ampersands((grid.corner, *grid.columns))}",
        r"    \midrule",
        *(f"    {_latex_row(row)}" for row in grid.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\footnotesize {latex_text(note)}." for note in grid.notes),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_row(row: Row) -> str:
    label = rf"\quad {latex_text(row.label)}" if row.published else latex_text(row.label)
    return " & ".join([label, *map(latex_text, row.cells)]) + r" \\"


def _ampersands(cells: tuple[str, ...]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"
