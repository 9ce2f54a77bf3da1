"""`decaf evaluate` and `decaf demo`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices
from decaf.cli import options

_HEADS = "The heads"

Heads = Annotated[
    str,
    typer.Option(
        help="Comma-separated: svm, logreg, svm-dropout, logreg-dropout, adaptation, knn, "
        "finetune.",
        rich_help_panel=_HEADS,
    ),
]


def evaluate(
    *,
    dataset: options.Dataset,
    backbone: options.Backbone = "alexnet",
    weights: options.Weights = "imagenet",
    layers: options.Layers = None,
    pool: options.Pool = "none",
    views: options.Views = None,
    box: options.Box = None,
    box_scale: options.BoxScale = None,
    patch_scales: options.PatchScales = None,
    patches_per_image: options.PatchesPerImage = None,
    patch_edges: options.PatchEdges = None,
    background_share: options.BackgroundShare = None,
    patch_power: Annotated[
        float | None,
        typer.Option(
            help="Power of a patch's probability in the image's score.", rich_help_panel=_HEADS
        ),
    ] = None,
    patch_pool: Annotated[
        choices.PatchPool | None,
        typer.Option(help="mean or max over the image's patches.", rich_help_panel=_HEADS),
    ] = None,
    drop_classes: Annotated[
        str | None,
        typer.Option(
            help="Classes to leave out, such as BACKGROUND_Google or 257.clutter; the protocol's "
            "if not given.",
            rich_help_panel=_HEADS,
        ),
    ] = None,
    heads: Heads = "svm",
    finetune: Annotated[
        str,
        typer.Option(
            help="With the head finetune: last, a number of last blocks, or all.",
            rich_help_panel=_HEADS,
        ),
    ] = "last",
    recipe: options.Recipe = "",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="A published rule for this data set, such as decaf, zf, chatfield, kornblith, "
            "razavian or fair-svm; for any data set: holdout, kfold. The data set's default if "
            "not given.",
            rich_help_panel=_HEADS,
        ),
    ] = None,
    train_per_class: Annotated[
        str | None,
        typer.Option(
            help="Training images a class; several, as 1,5,10, make a learning curve.",
            rich_help_panel=_HEADS,
        ),
    ] = None,
    splits: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of splits; the protocol's if not given.", rich_help_panel=_HEADS
        ),
    ] = None,
    normalize: Annotated[
        choices.Normalize | None,
        typer.Option(
            help="none, l2, standard or signed-square; the protocol's if not given.",
            rich_help_panel=_HEADS,
        ),
    ] = None,
    c_grid: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated values of C; the protocol's if not given.",
            rich_help_panel=_HEADS,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file; results/<dataset>.csv if not given.")
    ] = None,
    features: Annotated[Path, typer.Option(help="A store (.h5), or the folder of stores.")] = Path(
        "features"
    ),
    device: options.Device = "auto",
    precision: options.Precision = "fp32",
    dtype: options.Dtype = "float32",
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
    """Train heads on stored features under a protocol; extract the features where needed."""
    arguments = dict(locals())
    from decaf import evaluation

    _show(evaluation.evaluate(**arguments), out)


def demo(
    *,
    data_root: options.DataRoot = Path("data"),
    out: Annotated[Path, typer.Option(help="CSV file of the results.")] = Path("results/demo.csv"),
    features: Annotated[Path, typer.Option(help="Folder of the store.")] = Path("features"),
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Run the whole job once: digits through decaf-mini, heads on five splits, a table."""
    arguments = dict(locals())
    from decaf import demo as library

    _show(library.demo(**arguments), out)


def _show(table: object, out: Path | None) -> None:
    from decaf.evaluation import csv_path
    from decaf.report.terminal import print_whole, terminal_table
    from decaf.results import ResultTable

    if isinstance(table, ResultTable):
        print_whole(terminal_table(table, csv_path(table.results[0].dataset, out)))
