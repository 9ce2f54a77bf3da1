"""Results as a reader wants them: terminal, Markdown, LaTeX. Only here are figures per cent."""

from decaf.report.markup import latex_table, markdown_table
from decaf.report.terminal import print_whole, terminal_comparison, terminal_table

__all__ = ["latex_table", "markdown_table", "print_whole", "terminal_comparison", "terminal_table"]
