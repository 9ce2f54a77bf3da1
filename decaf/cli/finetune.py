"""`decaf finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices
from decaf.cli import border, options

_TRAINING = "The training"


def finetune(
    *,
    dataset: options.Dataset,
    backbone: options.Backbone = "alexnet",
    weights: options.Weights = "imagenet",
    layer: Annotated[
        str | None,
        typer.Option(
            help="What the head is on, see `decaf layers`; the deepest of pool5,fc6,fc7 if not "
            "given."
        ),
    ] = None,
    pool: options.Pool = "none",
    views: Annotated[choices.CropView, typer.Option(help="center, warp or squash.")] = "center",
    normalize: options.Normalize = "l2",
    blocks: Annotated[
        str,
        typer.Option(help="last, a number of last blocks, or all.", rich_help_panel=_TRAINING),
    ] = "last",
    recipe: options.Recipe = "",
    out: Annotated[
        Path,
        typer.Option(help="The model (.safetensors); its net's weights go to NAME-weights beside."),
    ] = Path("finetuned.safetensors"),
    features: Annotated[Path, typer.Option(help="A store (.h5), or the folder of stores.")] = Path(
        "features"
    ),
    device: options.Device = "auto",
    precision: options.Precision = "auto",
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
    """Train a net's last blocks, or all of it, with a head; `decaf predict` uses the result."""
    arguments = dict(locals())
    from decaf import tuning

    border.say(tuning.finetune(**arguments))
