"""`decaf tune`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import options
from decaf.cli.from_records import with_records
from decaf.records import Compute, Net, Overrides, Source, Space


@with_records
def tune(
    *,
    data: options.StoreOrDataset,
    protocol: options.Protocol = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file; results/<dataset>-tune.csv if not given.")
    ] = None,
    space: Space,
    net: Net,
    overrides: Overrides,
    source: Source,
    compute: Compute,
) -> None:
    """Search settings inside each split's training images; test images are scored once."""
    arguments = {**locals(), "data": data.only()}
    from decaf import settings_search
    from decaf.report.settings_grid import settings_grid
    from decaf.report.terminal import print_whole, terminal_grid

    print_whole(terminal_grid(settings_grid(settings_search.tune(**arguments))))
