"""The results table as Markdown and as LaTeX."""

from decaf.report.grid import Grid, Row, grids
from decaf.results import ResultTable

_LATEX = {
    **{character: f"\\{character}" for character in "#$%&_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "§": r"\S{}",
    "·": r"$\cdot$",
    "–": "--",
}


def markdown_table(table: ResultTable) -> str:
    """Return a results table in Markdown.

    Parameters
    ----------
    table : ResultTable
        The results.

    Returns
    -------
    str
        One table per data set, net, protocol and metric, with title and footnotes.
    """
    return "\n".join(markdown_grid(grid) for grid in grids(table))


def latex_table(table: ResultTable) -> str:
    r"""Return a results table in LaTeX; it needs ``\usepackage{booktabs}``.

    Parameters
    ----------
    table : ResultTable
        The results.

    Returns
    -------
    str
        One ``table`` environment per data set, net, protocol and metric.
    """
    return "\n".join(latex_grid(grid) for grid in grids(table))


def markdown_grid(grid: Grid) -> str:
    """Return one table of a report in Markdown."""
    lines = [
        f"**{_escape_markdown(grid.title)}**",
        "",
        _pipes((grid.corner, *grid.columns)),
        "|---" + "|---:" * len(grid.columns) + "|",
        *(_pipes((_markdown_label(row), *row.cells)) for row in grid.rows),
        "",
        *(f"- {_escape_markdown(note)}" for note in grid.notes),
        "",
    ]
    return "\n".join(lines)


def _markdown_label(row: Row) -> str:
    return f"*{row.label}*" if row.published else row.label


def _pipes(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(_escape_markdown, cells)) + " |"


def _escape_markdown(text: str) -> str:
    return text.replace("|", r"\|").replace("_", r"\_")


def latex_grid(grid: Grid) -> str:
    """Return one table of a report in LaTeX."""
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_escape_latex(grid.title)}.}}",
        rf"  \begin{{tabular}}{{l{'r' * len(grid.columns)}}}",
        r"    \toprule",
        f"    {_ampersands((grid.corner, *grid.columns))}",
        r"    \midrule",
        *(f"    {_latex_row(row)}" for row in grid.rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\footnotesize {_escape_latex(note)}." for note in grid.notes),
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def _latex_row(row: Row) -> str:
    label = rf"\quad {_escape_latex(row.label)}" if row.published else _escape_latex(row.label)
    return " & ".join([label, *map(_escape_latex, row.cells)]) + r" \\"


def _ampersands(cells: tuple[str, ...]) -> str:
    return " & ".join(map(_escape_latex, cells)) + r" \\"


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
