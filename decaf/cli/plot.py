"""`decaf plot` and `decaf visualize`: one figure each."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, get_args

import typer

from decaf import choices
from decaf.cli import border, options
from decaf.cli.from_records import with_records
from decaf.cli.helping import App
from decaf.cli.report import Results
from decaf.cli.train import Model
from decaf.records import Images, Patches

app = App(help="Draw a figure, as .png, .svg or .pdf.", no_args_is_help=True)
visualize = App(help="Look at what units of a net, or a model, respond to.", no_args_is_help=True)

Out = Annotated[Path, typer.Option(help="The figure: .png, .svg or .pdf.")]
Layer = Annotated[str | None, typer.Option(help="That of the best result if not given.")]
Head = Annotated[str | None, typer.Option(help="That of the best result if not given.")]
Shots = Annotated[
    int | None, typer.Option(help="Training images a class; the best result's if not given.")
]
Store = Annotated[Path, typer.Argument(help="A feature store (.h5).")]
StoreLayer = Annotated[str | None, typer.Option(help="The store's last layer if not given.")]
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
def reliability(
    paths: Results, *, out: Out, layer: Layer = None, head: Head = None, shots: Shots = None
) -> None:
    """Draw how often a head is right by how sure it is; needs evaluate --keep-scores."""
    from decaf.report.plots import plot_reliability

    border.say(plot_reliability(paths, out=out, layer=layer, head=head, shots=shots))


_NAMES = {"tsne": "t-SNE", "umap": "UMAP"}


def _embedding(method: choices.Method) -> Callable[..., None]:
    @with_records
    def embedding(
        path: Store,
        *,
        out: Out,
        layer: StoreLayer = None,
        limit: options.Sample = 2000,
        thumbnails: Thumbnails = False,
        images: Images,
        seed: options.Seed = 0,
    ) -> None:
        from decaf.report.plots import plot_embedding

        border.say(
            plot_embedding(
                path,
                method=method,
                out=out,
                layer=layer,
                limit=limit,
                thumbnails=images if thumbnails else None,
                seed=seed,
            )
        )

    return embedding


for _method in get_args(choices.Method):
    _about = f"Draw a store's features on a plane by {_NAMES[_method]}, coloured by class."
    app.command(_method, help=_about)(_embedding(_method))


@visualize.command("top-images")
@with_records
def top_images(
    path: Store,
    *,
    layer: Annotated[str, typer.Option(help="A layer of the store.")],
    units: Annotated[str, typer.Option(help="Units, as 0-15,40.")] = "0-15",
    out: Out,
    weights: options.Weights = "imagenet",
    device: options.Device = "auto",
    seed: options.Seed = 0,
    images: Images,
) -> None:
    """Draw the nine images that activate each unit most, as far as the unit sees them."""
    arguments = dict(locals())
    from decaf.report.plots import plot_top_images

    border.say(plot_top_images(**arguments))


@visualize.command()
@with_records
def scores(
    model: Model,
    images: Annotated[list[str], typer.Argument(help="Images, folders, .csv or .txt lists.")],
    *,
    out: Annotated[Path, typer.Option(help="The figure, or a folder for several images.")],
    classes: Annotated[
        str | None, typer.Option(help="Comma-separated; the most probable three if not given.")
    ] = None,
    weights: options.ModelWeights = None,
    device: options.Device = "auto",
    allow_code: options.AllowCode = False,
    patches: Patches,
) -> None:
    """Draw over images where their patches show a class, as a trained model sees them."""
    arguments = dict(locals())
    from decaf.report.score_maps import plot_scores

    border.say(plot_scores(**arguments))
