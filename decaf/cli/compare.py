"""`decaf compare`."""

from pathlib import Path
from typing import Annotated

import typer


def compare(
    paths: Annotated[list[Path], typer.Argument(help="Results of `decaf evaluate`: results/*.csv")],
) -> None:
    """Print our results beside the published ones, over all data sets."""
    from rich.console import Console

    from decaf.report.terminal import terminal_comparison
    from decaf.results import read_results

    Console().print(terminal_comparison(read_results(paths)))
