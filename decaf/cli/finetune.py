"""`decaf finetune`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
from decaf.cli.from_records import declared, with_records
from decaf.records import Compute, Fit, Net, Overrides, Source, View


@with_records
def finetune(
    *,
    dataset: options.Dataset,
    recipe: Annotated[str, declared(Overrides, "recipe")] = "",
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
