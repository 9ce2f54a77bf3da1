"""`decaf inspect`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import with_records
from decaf.records import Images


@dataclass(frozen=True)
class Sample:
    """Of how many images statistics are."""

    limit: options.Sample = 2000
    kernel_rows: Annotated[
        int,
        typer.Option(
            min=0, help="Images of a sample of kernel analysis, whose cost grows with their cube."
        ),
    ] = 500


@with_records
def inspect(
    path: Annotated[Path, typer.Argument(help="A feature store (.h5).")],
    *,
    against: Annotated[
        list[Path] | None,
        typer.Option(help="Another store of the same images to compare layers with; repeatable."),
    ] = None,
    layers: options.StoreLayers = None,
    sample: Sample,
    mirrored: Annotated[
        bool, typer.Option("--mirrored", help="Look for mirror images too.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder; results/inspect-<store> if not given.")
    ] = None,
    quiet: options.Quiet = False,
    images: Images,
) -> None:
    """Print a store's statistics, likeness of layers, transfer scores and duplicate images.

    Duplicates are sought in the last of the layers.
    """
    from decaf.analysis.inspection import inspect_store
    from decaf.report import inspection_page as page
    from decaf.report.terminal import print_whole, terminal_grid

    folder = out or Path("results") / f"inspect-{path.stem}"
    page.check_folder(folder)
    found = inspect_store(
        path,
        against=against or (),
        layers=layers,
        limit=sample.limit,
        kernel_rows=sample.kernel_rows,
        mirrored=mirrored,
        images=images,
        quiet=quiet,
    )
    for grid in (page.statistics_grid, page.similarity_grid, page.duplicates_grid):
        print_whole(terminal_grid(grid(found)))
    border.say(f" page: {page.write_inspection(found, folder)[0]}")
