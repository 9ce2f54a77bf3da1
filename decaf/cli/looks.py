"""`decaf visualize` of what a net keeps of an image, and of what it looks for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from decaf.choices import InvertMethod, MaximizeMethod
from decaf.cli import border, options
from decaf.cli.from_records import declared, with_records
from decaf.cli.plot import Out, visualize
from decaf.cli.visualize import Loading, NetName
from decaf.insight.asked import Moves, Preimage
from decaf.records import Net, Source

__all__ = ["evolution", "invariance", "invert", "maximize", "visualize"]


@dataclass(frozen=True)
class Shown:
    """Which images are moved."""

    folder: Annotated[
        Path | None, typer.Option(help="Where the images of a store of a folder are.")
    ] = None
    limit: Annotated[int, declared(Source, "limit", "50 if not given.")] = 50


@visualize.command()
@with_records
def invariance(
    net: NetName,
    *,
    images: Annotated[
        str, typer.Option(help="A data set or folder of class folders, or a store (.h5).")
    ],
    shown: Shown,
    layers: options.StoreLayers = None,
    classes: Annotated[
        Path | None,
        typer.Option(
            help="Names of the net's classes, one a line in its order, as the images' classes are "
            "called; if not given, the images' classes in order where they are as many."
        ),
    ] = None,
    out: Out,
    loading: Loading,
    moves: Moves,
) -> None:
    """Draw how features and predictions change when images are moved, scaled or rotated.

    The values of every image go to a .csv file beside the figure.
    """
    from decaf.report.invariance_curves import plot_invariance

    opened = loading.net(net, layers)
    border.say(
        plot_invariance(
            opened,
            images,
            out=out,
            classes=classes,
            folder=shown.folder,
            limit=shown.limit,
            moves=moves,
            device=loading.device,
        )
    )


@visualize.command()
@with_records
def invert(
    net: NetName,
    image: Annotated[Path, typer.Argument(help="The image; its centre view is inverted.")],
    *,
    layer: options.StoreLayers = None,
    method: Annotated[InvertMethod, typer.Option(help="Mahendran and Vedaldi's.")] = "2015",
    out: Out,
    loading: Loading,
    asked: Preimage,
) -> None:
    """Draw images that a net's layers cannot tell from an image.

    Above each stands its error: the squared distance of the features as a share of their squared
    norm. A run that was stopped goes on when it is called again.
    """
    from decaf.report.preimages import plot_inversions

    opened = loading.net(net, layer)
    border.say(
        plot_inversions(opened, image, out=out, method=method, asked=asked, device=loading.device)
    )


@visualize.command()
@with_records
def maximize(
    net: NetName,
    *,
    layer: options.StoreLayers = None,
    unit: Annotated[str, typer.Option(help="Units, as 0-15,40; of class scores the classes.")],
    method: Annotated[
        MaximizeMethod,
        typer.Option(
            help="yosinski-1 to yosinski-4: the published settings; 2016: Mahendran and Vedaldi's."
        ),
    ] = "yosinski-3",
    images: Annotated[
        list[str] | None,
        typer.Option(help="Images to say their largest activation of beside; 2016 needs them."),
    ] = None,
    out: Out,
    loading: Loading,
    asked: Preimage,
) -> None:
    """Draw images that activate units most, each start beside the other.

    Above each stands the activation, and in brackets the largest in natural images. A run that was
    stopped goes on when it is called again.
    """
    from decaf.report.preimages import plot_maximized

    opened = loading.net(net, layer)
    border.say(
        plot_maximized(
            opened,
            unit,
            out=out,
            method=method,
            images=images or (),
            asked=asked,
            device=loading.device,
        )
    )


@visualize.command()
@with_records
def evolution(
    net: NetName,
    epochs: Annotated[
        Path, typer.Argument(help="Folder of epochs' weights: finetune --recipe keep_epochs=yes.")
    ],
    images: Annotated[list[str], typer.Argument(help="Images, folders, .csv or .txt lists.")],
    *,
    layer: options.StoreLayers = None,
    units: Annotated[str, typer.Option(help="Units, as 0-15,40.")] = "0-3",
    out: Out,
    device: options.Device = "auto",
    allow_code: options.AllowCode = False,
) -> None:
    """Draw what activates units most, epoch by epoch of a fine-tuning."""
    from decaf.report.evolution import plot_evolution

    opened = Net(net, layers=layer, allow_code=allow_code)
    border.say(plot_evolution(opened, epochs, images, units=units, out=out, device=device))
