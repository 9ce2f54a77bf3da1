"""`decaf plot` and `decaf visualize`: one figure each."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.report import Images, Results
from decaf.cli.train import Model, ModelWeights

app = typer.Typer(help="Draw a figure, as .png, .svg or .pdf.", no_args_is_help=True)
visualize = typer.Typer(
    help="Look at what units of a net, or a model, respond to.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option(help="The figure: .png, .svg or .pdf.")]
Layer = Annotated[str | None, typer.Option(help="That of the best result if not given.")]
Head = Annotated[str | None, typer.Option(help="That of the best result if not given.")]
Shots = Annotated[
    int | None, typer.Option(help="Training images a class; the best result's if not given.")
]
Store = Annotated[Path, typer.Argument(help="A feature store (.h5).")]
StoreLayer = Annotated[str | None, typer.Option(help="The store's last layer if not given.")]
Limit = Annotated[int, typer.Option(min=5, help="Images to place, evenly spaced.")]
Thumbnails = Annotated[bool, typer.Option("--thumbnails", help="Draw images where there is room.")]


@app.command()
def curve(paths: Results, *, out: Out) -> None:
    """Draw accuracy against training images a class, with the published curve."""
    from decaf.report.plots import plot_curve

    border.say(plot_curve(paths, out=out))


@app.command()
def layers(paths: Results, *, out: Out) -> None:
    """Draw accuracy layer by layer, with the published figures."""
    from decaf.report.plots import plot_layers

    border.say(plot_layers(paths, out=out))


@app.command()
def domains(paths: Results, *, out: Out) -> None:
    """Draw what each way of training, and of adapting features, gives in another domain."""
    from decaf.report.plots import plot_domains

    border.say(plot_domains(paths, out=out))


@app.command()
def classes(
    paths: Results, *, out: Out, layer: Layer = None, head: Head = None, shots: Shots = None
) -> None:
    """Draw the best and the worst classes."""
    from decaf.report.plots import plot_classes

    border.say(plot_classes(paths, out=out, layer=layer, head=head, shots=shots))


@app.command()
def confusion(
    paths: Results, *, out: Out, layer: Layer = None, head: Head = None, shots: Shots = None
) -> None:
    """Draw which class is taken for which."""
    from decaf.report.plots import plot_confusion

    border.say(plot_confusion(paths, out=out, layer=layer, head=head, shots=shots))


@app.command()
def tsne(
    path: Store,
    *,
    out: Out,
    layer: StoreLayer = None,
    limit: Limit = 2000,
    thumbnails: Thumbnails = False,
    images: Images = None,
    data_root: options.DataRoot = Path("data"),
    seed: options.Seed = 0,
) -> None:
    """Draw a store's features on a plane by t-SNE, coloured by class."""
    arguments = dict(locals())
    from decaf.report.plots import plot_embedding

    border.say(plot_embedding(method="tsne", **arguments))


@app.command()
def umap(
    path: Store,
    *,
    out: Out,
    layer: StoreLayer = None,
    limit: Limit = 2000,
    thumbnails: Thumbnails = False,
    images: Images = None,
    data_root: options.DataRoot = Path("data"),
    seed: options.Seed = 0,
) -> None:
    """Draw a store's features on a plane by UMAP, coloured by class."""
    arguments = dict(locals())
    from decaf.report.plots import plot_embedding

    border.say(plot_embedding(method="umap", **arguments))


@visualize.command("top-images")
def top_images(
    path: Store,
    *,
    layer: Annotated[str, typer.Option(help="A layer of the store.")],
    units: Annotated[str, typer.Option(help="Units, as 0-15,40.")] = "0-15",
    out: Out,
    weights: options.Weights = "imagenet",
    images: Images = None,
    data_root: options.DataRoot = Path("data"),
    device: options.Device = "auto",
    seed: options.Seed = 0,
) -> None:
    """Draw the nine images that activate each unit most, as far as the unit sees them."""
    arguments = dict(locals())
    from decaf.report.plots import plot_top_images

    border.say(plot_top_images(**arguments))


@visualize.command()
def scores(
    model: Model,
    images: Annotated[list[str], typer.Argument(help="Images, folders, .csv or .txt lists.")],
    *,
    out: Annotated[Path, typer.Option(help="The figure, or a folder for several images.")],
    classes: Annotated[
        str | None, typer.Option(help="Comma-separated; the most probable three if not given.")
    ] = None,
    patch_scales: options.PatchScales = None,
    patches_per_image: options.PatchesPerImage = None,
    patch_edges: options.PatchEdges = None,
    weights: ModelWeights = None,
    device: options.Device = "auto",
    allow_code: options.AllowCode = False,
) -> None:
    """Draw over images where their patches show a class, as a trained model sees them."""
    arguments = dict(locals())
    from decaf.report.score_maps import plot_scores

    border.say(plot_scores(**arguments))
