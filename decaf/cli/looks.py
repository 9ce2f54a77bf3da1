"""`decaf visualize` of what a net keeps of images: how it takes it that they are moved."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border
from decaf.cli.from_records import with_records
from decaf.insight.settings import Moves, OpenNet

NetName = Annotated[str, typer.Argument(metavar="NET", help="A net from `decaf models`.")]
Figure = Annotated[Path, typer.Option(help="The figure: .png, .svg or .pdf.")]


@with_records
def invariance(
    net: NetName,
    *,
    images: Annotated[
        str, typer.Option(help="A data set or folder of class folders, or a store (.h5).")
    ],
    layers: Annotated[
        str | None,
        typer.Option(help="Comma-separated; the net's own of pool5,fc6,fc7 if not given."),
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Names of the net's classes, one a line in its order, as the images' classes are "
            "called; if not given, the images' classes in order where they are as many."
        ),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the images of a store of a folder are.")
    ] = None,
    out: Figure,
    moves: Moves,
    opened: OpenNet,
) -> None:
    """Draw how features and predictions change when images are moved, scaled or rotated.

    The values of every image go to a .csv file beside the figure.
    """
    arguments = dict(locals())
    from decaf.report.invariance_curves import plot_invariance

    border.say(plot_invariance(**arguments))
