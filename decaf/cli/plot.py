"""`decaf plot` and `decaf visualize`: one figure each."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import options
from decaf.cli.report import Pictures, Results

app = typer.Typer(help="Draw a figure, as .png, .svg or .pdf.", no_args_is_help=True)
visualize = typer.Typer(help="Look at what units of a net respond to.", no_args_is_help=True)

Out = Annotated[Path, typer.Option(help="The figure: .png, .svg or .pdf.")]
Layer = Annotated[str | None, typer.Option(help="That of the best result if not given.")]
Head = Annotated[str | None, typer.Option(help="That of the best result if not given.")]
Shots = Annotated[
    int | None, typer.Option(help="Training pictures a class; the best result's if not given.")
]
Store = Annotated[Path, typer.Argument(help="A feature store (.h5).")]
StoreLayer = Annotated[str | None, typer.Option(help="The store's last layer if not given.")]
Limit = Annotated[int, typer.Option(min=5, help="Pictures to place, evenly spaced.")]
Thumbnails = Annotated[
    bool, typer.Option("--thumbnails", help="Draw pictures where there is room.")
]


@app.command()
def curve(paths: Results, *, out: Out) -> None:
    """Draw accuracy against training pictures a class, with the published curve."""
    from decaf.report.plots import plot_curve

    typer.echo(plot_curve(paths, out=out))


@app.command()
def layers(paths: Results, *, out: Out) -> None:
    """Draw accuracy layer by layer, with the published figures."""
    from decaf.report.plots import plot_layers

    typer.echo(plot_layers(paths, out=out))


@app.command()
def classes(
    paths: Results, *, out: Out, layer: Layer = None, head: Head = None, shots: Shots = None
) -> None:
    """Draw the best and the worst classes."""
    from decaf.report.plots import plot_classes

    typer.echo(plot_classes(paths, out=out, layer=layer, head=head, shots=shots))


@app.command()
def confusion(
    paths: Results, *, out: Out, layer: Layer = None, head: Head = None, shots: Shots = None
) -> None:
    """Draw which class is taken for which."""
    from decaf.report.plots import plot_confusion

    typer.echo(plot_confusion(paths, out=out, layer=layer, head=head, shots=shots))


@app.command()
def tsne(
    path: Store,
    *,
    out: Out,
    layer: StoreLayer = None,
    limit: Limit = 2000,
    thumbnails: Thumbnails = False,
    pictures: Pictures = None,
    data_root: options.DataRoot = Path("data"),
    seed: options.Seed = 0,
) -> None:
    """Draw a store's features on a plane by t-SNE, coloured by class."""
    arguments = dict(locals())
    from decaf.report.plots import plot_embedding

    typer.echo(plot_embedding(method="tsne", **arguments))


@app.command()
def umap(
    path: Store,
    *,
    out: Out,
    layer: StoreLayer = None,
    limit: Limit = 2000,
    thumbnails: Thumbnails = False,
    pictures: Pictures = None,
    data_root: options.DataRoot = Path("data"),
    seed: options.Seed = 0,
) -> None:
    """Draw a store's features on a plane by UMAP, coloured by class."""
    arguments = dict(locals())
    from decaf.report.plots import plot_embedding

    typer.echo(plot_embedding(method="umap", **arguments))


@visualize.callback()
def _group() -> None:
    """Keep `top-images` a subcommand; a Typer app with one command would be that command."""


@visualize.command("top-images")
def top_images(
    path: Store,
    *,
    layer: Annotated[str, typer.Option(help="A layer of the store.")],
    units: Annotated[str, typer.Option(help="Units, as 0-15,40.")] = "0-15",
    out: Out,
    weights: options.Weights = "imagenet",
    pictures: Pictures = None,
    data_root: options.DataRoot = Path("data"),
    device: options.Device = "auto",
    seed: options.Seed = 0,
) -> None:
    """Draw the nine pictures that activate each unit most, as far as the unit sees them."""
    arguments = dict(locals())
    from decaf.report.plots import plot_top_images

    typer.echo(plot_top_images(**arguments))
