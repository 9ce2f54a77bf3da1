"""`decaf extract`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import with_records
from decaf.records import Cluster, Compute, Net, Source, View
from decaf.several_nets import each_net


@with_records
def extract(
    *,
    dataset: options.Dataset,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The store (.h5), or a folder for a store named by its digest; that of "
            "--features if not given."
        ),
    ] = None,
    protocol: options.Protocol = None,
    net: Net,
    view: View,
    source: Source,
    compute: Compute,
    cluster: Cluster,
) -> None:
    """Extract layers of a net for every image into a feature store."""
    arguments = dict(locals())
    from decaf import extraction

    nets = each_net(arguments.pop("net"))
    for path in extraction.extract_nets(nets=nets, **arguments):
        border.say(path)
