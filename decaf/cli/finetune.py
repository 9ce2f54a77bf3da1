"""`decaf finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import with_records
from decaf.records import Compute, Fit, Net, Source, View


@with_records
def finetune(
    *,
    dataset: options.Dataset,
    recipe: Annotated[
        str,
        typer.Option(
            help="How to train, as blocks=2,epochs=40,lr=1e-3; blocks: a number of last ones, or "
            "all; see decaf.finetuning.Recipe."
        ),
    ] = "",
    out: Annotated[
        Path,
        typer.Option(help="The model (.safetensors); its net's weights go to NAME-weights beside."),
    ] = Path("finetuned.safetensors"),
    net: Net,
    view: View,
    fit: Fit,
    source: Source,
    compute: Compute,
) -> None:
    """Train a net's last blocks, or all of it, with a head; `decaf predict` uses the result."""
    arguments = dict(locals())
    from decaf import tuning

    border.say(tuning.finetune(**arguments))
