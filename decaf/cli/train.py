"""`decaf train`, `decaf predict` and `decaf export`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices
from decaf.cli import border, options

Model = Annotated[Path, typer.Argument(help="A model that decaf train wrote.")]
ModelWeights = Annotated[
    str | None,
    typer.Option(help="Where the net's weights are now; where they were in training if not given."),
]


def train(
    *,
    dataset: options.Dataset,
    backbone: options.Backbone = "alexnet",
    weights: options.Weights = "imagenet",
    layer: Annotated[
        str | None,
        typer.Option(help="See `decaf layers`; the deepest of pool5,fc6,fc7 if not given."),
    ] = None,
    pool: options.Pool = "none",
    views: Annotated[
        choices.View,
        typer.Option(
            help="center, warp, squash, ten-crop or razavian-16; crops are averaged; patches or "
            "dense train on patches."
        ),
    ] = "center",
    patch_scales: options.PatchScales = None,
    patches_per_image: options.PatchesPerImage = None,
    patch_edges: options.PatchEdges = None,
    background_share: options.BackgroundShare = None,
    patch_power: Annotated[
        float | None,
        typer.Option(help="With patches, exponent of the mean of an image's; 5 if not given."),
    ] = None,
    head: Annotated[
        str, typer.Option(help="svm, logreg, svm-dropout, logreg-dropout or adaptation.")
    ] = "svm",
    normalize: Annotated[
        choices.Normalize | None,
        typer.Option(help="l2 if not given, none of patches."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The model (.safetensors).")] = Path(
        "model.safetensors"
    ),
    features: Annotated[Path, typer.Option(help="A store (.h5), or the folder of stores.")] = Path(
        "features"
    ),
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    pixels: options.Pixels = "auto",
    batch_size: options.BatchSize = None,
    workers: options.Workers = None,
    limit: options.Limit = None,
    data_root: options.DataRoot = Path("data"),
    allow_partial: options.AllowPartial = False,
    max_failures: options.MaxFailures = 0.05,
    seed: options.Seed = 0,
    allow_code: options.AllowCode = False,
    quiet: options.Quiet = False,
) -> None:
    """Train one head on a data set's images; `decaf predict` uses it."""
    arguments = dict(locals())
    from decaf import training

    border.say(training.train(**arguments))


def predict(
    model: Model,
    images: Annotated[
        list[str],
        typer.Argument(help="Images, folders, .csv files with a column path, .txt lists."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="CSV file of path,class,probability.")] = Path(
        "predictions.csv"
    ),
    all_classes: Annotated[
        bool, typer.Option("--all", help="A line for every class, the most probable first.")
    ] = False,
    weights: ModelWeights = None,
    device: options.Device = "auto",
    batch_size: options.BatchSize = None,
    workers: options.Workers = None,
    pixels: Annotated[
        str | None,
        typer.Option(help="Who decodes: auto, pillow or gpu; as in training if not given."),
    ] = None,
    max_failures: options.MaxFailures = 0.05,
    allow_code: options.AllowCode = False,
    quiet: options.Quiet = False,
) -> None:
    """Write the class of each image and its probability."""
    arguments = dict(locals())
    from decaf import prediction

    border.say(prediction.predict(**arguments))


def export(
    model: Model,
    *,
    to: Annotated[choices.ExportFormat, typer.Option(help="onnx.")] = "onnx",
    out: Annotated[
        Path | None, typer.Option(help="The file; the model's name as .onnx if not given.")
    ] = None,
    weights: ModelWeights = None,
    allow_code: options.AllowCode = False,
) -> None:
    """Write a model, with its net, as one ONNX file from pixels to probabilities."""
    arguments = dict(locals())
    from decaf import onnx_model

    border.say(onnx_model.export(**arguments))
