"""`decaf train`, `decaf predict` and `decaf export`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices
from decaf.cli import border, options
from decaf.cli.from_records import declared, with_records
from decaf.records import Compute, Fit, Net, Source, View

Model = Annotated[Path, typer.Argument(help="A model that decaf train wrote.")]


@with_records
def train(
    *,
    data: options.StoreOrDataset,
    head: Annotated[
        str, typer.Option(help="svm, logreg, svm-dropout, logreg-dropout or adaptation.")
    ] = "svm",
    out: Annotated[Path, typer.Option(help="The model (.safetensors).")] = Path(
        "model.safetensors"
    ),
    net: Net,
    view: View,
    fit: Fit,
    source: Source,
    compute: Compute,
) -> None:
    """Train one head on a data set's images, or on a store; `decaf predict` uses it."""
    arguments = {**locals(), "data": data.only()}
    from decaf import training

    border.say(training.train(**arguments))


@with_records
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
    weights: options.ModelWeights = None,
    decoder: Annotated[
        choices.Decoder | None, declared(Source, "decoder", "If not given, as in training.")
    ] = None,
    allow_code: options.AllowCode = False,
    compute: Compute,
) -> None:
    """Write the class of each image and its probability."""
    arguments = dict(locals())
    from decaf import prediction

    border.say(prediction.predict(**arguments))


def export(
    model: Model,
    *,
    to: Annotated[
        choices.ExportFormat,
        typer.Option(help="onnx: for other programs; safetensors: for decaf predict elsewhere."),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(help="The file; the model's name as .onnx, or with -with-net, if not given."),
    ] = None,
    weights: options.ModelWeights = None,
    allow_code: options.AllowCode = False,
) -> None:
    """Write a model, with its net, as one file: ONNX, or a model that carries its net."""
    arguments = dict(locals())
    from decaf import onnx_model

    border.say(onnx_model.export(**arguments))
