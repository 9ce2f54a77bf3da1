"""`decaf visualize` of what a net keeps of an image, and of what it looks for."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import declared, with_records
from decaf.cli.plot import Out
from decaf.cli.visualize import NetName, visualize
from decaf.insight.asked import Moves
from decaf.records import Net, Source


@visualize.command()
@with_records
def invariance(
    net: NetName,
    *,
    images: Annotated[
        str, typer.Option(help="A data set or folder of class folders, or a store (.h5).")
    ],
    layers: options.StoreLayers = None,
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
    limit: Annotated[int, declared(Source, "limit", "50 if not given.")] = 50,
    out: Out,
    weights: options.Weights = "imagenet",
    device: options.Device = "auto",
    seed: options.Seed = 0,
    allow_code: options.AllowCode = False,
    moves: Moves,
) -> None:
    """Draw how features and predictions change when images are moved, scaled or rotated.

    The values of every image go to a .csv file beside the figure.
    """
    from decaf.report.invariance_curves import plot_invariance

    opened = Net(net, weights=weights, layers=layers, seed=seed, allow_code=allow_code)
    border.say(
        plot_invariance(
            opened,
            images,
            out=out,
            classes=classes,
            folder=folder,
            limit=limit,
            moves=moves,
            device=device,
        )
    )
