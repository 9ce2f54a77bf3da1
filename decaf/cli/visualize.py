"""`decaf visualize deconv`, `occlusion` and `page`: what a net sees."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.choices import SignalRule
from decaf.cli import border, options
from decaf.cli.from_records import declared, with_records
from decaf.cli.plot import Out, Store, visualize
from decaf.insight.asked import Occlusion, Projection
from decaf.records import Compute, Images, Net

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


@visualize.command()
@with_records
def occlusion(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|NET",
            help="A model that decaf train wrote (.safetensors), or a net from `decaf models`.",
        ),
    ],
    image: Annotated[Path, typer.Argument(help="An image.")],
    *,
    out: Out,
    weights: options.ModelWeights = None,
    device: options.Device = "auto",
    batch_size: Annotated[int, declared(Compute, "batch_size")] = 32,
    seed: options.Seed = 0,
    allow_code: options.AllowCode = False,
    quiet: options.Quiet = False,
    occlusion: Occlusion,
) -> None:
    """Cover an image with a square at every place, and draw what becomes of the answer.

    Three maps: total activation of the strongest map of a layer, probability of the true (or the
    given) class, most probable class.
    """
    from decaf.report.occlusion_maps import plot_occlusion

    net = Net(subject, weights=weights or "imagenet", seed=seed, allow_code=allow_code)
    compute = Compute(device=device, batch_size=batch_size, quiet=quiet)
    border.say(plot_occlusion(net, image, out=out, occlusion=occlusion, compute=compute))


@visualize.command()
@with_records
def page(
    net: NetName,
    store: Store,
    *,
    out: Annotated[Path, typer.Option(help="The page (.html).")] = Path("net.html"),
    units: Annotated[str, declared(Projection, "units")] = "0-15",
    method: Annotated[SignalRule, declared(Projection, "method")] = "deconvnet",
    invariance: Annotated[
        list[Path] | None,
        typer.Option(help="A table that decaf visualize invariance wrote; repeatable."),
    ] = None,
    weights: options.Weights = "imagenet",
    device: options.Device = "auto",
    seed: options.Seed = 0,
    allow_code: options.AllowCode = False,
    images: Images,
) -> None:
    """Write a page of a net: its layers, first filters, what units see, statistics."""
    from decaf.report.net_page import write_net_page

    written = write_net_page(
        Net(net, weights=weights, seed=seed, allow_code=allow_code),
        store,
        out=out,
        projection=Projection(units=units, method=method),
        images=images,
        invariance=invariance or (),
        device=device,
    )
    border.say(written)
