"""`decaf compare`."""

from pathlib import Path
from typing import Annotated

import typer

_FORMATS = ("table", "csv", "markdown", "latex")


def compare(
    paths: Annotated[list[Path], typer.Argument(help="Results of `decaf evaluate`: results/*.csv")],
    paired: Annotated[
        bool,
        typer.Option(
            "--paired", help="Compare results over the same splits with each other instead."
        ),
    ] = False,
    form: Annotated[
        str, typer.Option("--format", help=f"{', '.join(_FORMATS)}; in csv, fractions.")
    ] = "table",
) -> None:
    """Print our results beside the published ones, over all data sets, or beside each other."""
    from decaf.choices import check_choice

    check_choice("format", form, _FORMATS)
    from rich.console import Group

    from decaf.report.compare import comparison, comparison_frame, side_by_side
    from decaf.report.markup import latex_grid, markdown_grid
    from decaf.report.significance import differences, differences_frame
    from decaf.report.terminal import print_whole, terminal_grid
    from decaf.results import read_results

    table = read_results(paths)
    if form == "csv":
        frame = differences_frame(table, paths) if paired else comparison_frame(table)
        typer.echo(frame.to_csv(index=False, lineterminator="\n"), nl=False)
        return
    if paired:
        grids = [differences(table, paths)]
    else:
        published = comparison(table)
        grids = [published, *side_by_side(table)] if published.rows else [*side_by_side(table)]
    if form == "table":
        print_whole(Group(*map(terminal_grid, grids)))
    else:
        text = markdown_grid if form == "markdown" else latex_grid
        typer.echo("\n".join(map(text, grids)))
