"""`decaf visualize deconv`, `occlusion` and `page`: what a net sees."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from decaf.choices import Look
from decaf.cli import border, options
from decaf.cli.from_records import declared, with_records
from decaf.cli.plot import Out, Store, visualize
from decaf.insight.asked import Occlusion, Projection
from decaf.records import Images, Net


@dataclass(frozen=True)
class Loading:
    """How the net that is looked into is loaded."""

    weights: options.Weights = "imagenet"
    device: options.Device = "auto"
    seed: options.Seed = 0
    allow_code: options.AllowCode = False

    def net(self, name: str, layers: str | None = None) -> Net:
        """Return the net of a name, and what is looked at of it."""
        return Net(
            name,
            weights=self.weights,
            layers=layers,
            seed=self.seed,
            allow_code=self.allow_code,
        )


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
    loading: Loading,
    projection: Projection,
    images: Images,
) -> None:
    """Draw what excites units, in the nine images that activate each most.

    On the left the projections to the pixels, on the right the image parts that the unit sees.
    """
    from decaf.report.unit_views import plot_deconv

    border.say(
        plot_deconv(
            loading.net(net),
            seen,
            out=out,
            projection=projection,
            images=images,
            device=loading.device,
        )
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
    loading: Loading,
    quiet: options.Quiet = False,
    occlusion: Occlusion,
) -> None:
    """Cover an image with a square at every place, and draw what becomes of the answer.

    Three maps: total activation of the strongest map of a layer, probability of a class, most
    probable class.
    """
    from decaf.report.occlusion_maps import plot_occlusion

    net, device = loading.net(subject), loading.device
    border.say(plot_occlusion(net, image, out=out, occlusion=occlusion, device=device, quiet=quiet))


@visualize.command()
@with_records
def page(
    net: NetName,
    store: Store,
    *,
    out: Annotated[Path, typer.Option(help="The page (.html).")] = Path("net.html"),
    units: Annotated[str, declared(Projection, "units")] = "0-15",
    method: Annotated[Look, declared(Projection, "method")] = "deconvnet",
    invariance: Annotated[
        list[Path] | None,
        typer.Option(help="A table that decaf visualize invariance wrote; repeatable."),
    ] = None,
    loading: Loading,
    images: Images,
) -> None:
    """Write a page of a net: its layers, first filters, what units see, statistics."""
    from decaf.report.net_page import write_net_page

    written = write_net_page(
        loading.net(net),
        store,
        out=out,
        projection=Projection(units=units, method=method),
        images=images,
        invariance=invariance or (),
        device=loading.device,
    )
    border.say(written)
