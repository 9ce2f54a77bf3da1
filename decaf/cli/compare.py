"""`decaf compare`."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    paths: Annotated[list[Path], typer.Argument(help="Results of `decaf evaluate`: results/*.csv")],
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Compare results over the same splits with each other instead."
        ),
    ] = False,
) -> None:
    """Print our results beside the published ones, over all data sets, or beside each other."""
    from rich.console import Console

    from decaf.report.significance import differences
    from decaf.report.terminal import terminal_comparison, terminal_grid
    from decaf.results import read_results

    table = read_results(paths)
    Console().print(terminal_grid(differences(table)) if paired else terminal_comparison(table))
