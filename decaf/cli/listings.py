"""`decaf models` and `decaf layers`."""

from math import prod
from typing import Annotated

import typer

from decaf.cli import options
from decaf.cli.helping import App

app = App(help="List and get nets.", invoke_without_command=True)

Net = Annotated[str, typer.Argument(help="Name of the net.")]


@app.callback()
def models(context: typer.Context) -> None:
    """List the nets that features can be taken from."""
    if context.invoked_subcommand is not None:
        return
    from decaf.backbones import backbone_names, default_layers

    for name in backbone_names():
        typer.echo(f"{name:24} {','.join(default_layers(name))}")
    typer.echo("timm/NAME                timm's nets, with the extra timm")
    typer.echo("package.module:function  a net of your own, with --allow-code")


@app.command("get")
def get(net: Net, *, weights: options.Weights = "imagenet") -> None:
    """Fetch a net's published weights, or say what to put where."""
    from decaf import backbones

    found = backbones.get_weights(net, weights=weights)
    typer.echo(f"{net}: weights {found.label} are here, sha256 {found.sha256}")


def layers(net: Net, *, allow_code: options.AllowCode = False) -> None:
    """List a net's layers with their shapes, canonical names first, from a dry run."""
    from decaf.backbones import layer_table

    rows = layer_table(net, allow_code=allow_code)
    width = max(len(row.name) for row in rows)
    for row in rows:
        shape = " x ".join(str(size) for size in row.shape)
        where = f"  {'enters' if row.tap.enters else 'leaves'} {row.tap.module}"
        typer.echo(
            f"{row.name:{width}}  {shape:>16}  {prod(row.shape):>8} features"
            + (where if row.name != row.tap.module else "")
        )
