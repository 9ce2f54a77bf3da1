"""`decaf visualize deconv`: what a net sees."""

from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import with_records
from decaf.cli.plot import Out, visualize
from decaf.insight.asked import Projection
from decaf.records import Images, Net

NetName = Annotated[str, typer.Argument(metavar="NET", help="A net from `decaf models`.")]


@visualize.command()
@with_records
def deconv(
    net: NetName,
    seen: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES|STORE",
            help="Images, folders, .csv or .txt lists; or a store (.h5) of the net's features.",
        ),
    ],
    *,
    out: Out,
    weights: options.Weights = "imagenet",
    device: options.Device = "auto",
    seed: options.Seed = 0,
    allow_code: options.AllowCode = False,
    projection: Projection,
    images: Images,
) -> None:
    """Draw what excites units, in the nine images that activate each most.

    On the left the projections to the pixels, on the right the image parts that the unit sees.
    """
    from decaf.report.unit_views import plot_deconv

    opened = Net(net, weights=weights, seed=seed, allow_code=allow_code)
    border.say(
        plot_deconv(opened, seen, out=out, projection=projection, images=images, device=device)
    )
