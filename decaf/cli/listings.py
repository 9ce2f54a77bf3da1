"""`decaf models` and `decaf layers`."""

from typing import Annotated

import typer


def models() -> None:
    """List the nets that features can be taken from."""
    from decaf.backbones import backbone_names, default_layers

    for name in backbone_names():
        typer.echo(f"{name:24} {','.join(default_layers(name))}")


def layers(net: Annotated[str, typer.Argument(help="Name of the net.")]) -> None:
    """List a net's layers with their shapes, canonical names first, from a dry run."""
    from decaf.backbones import layer_table

    rows = layer_table(net)
    width = max(len(row.name) for row in rows)
    for row in rows:
        shape = " x ".join(str(size) for size in row.shape)
        n_features = 1
        for size in row.shape:
            n_features *= size
        where = f"  {'enters' if row.tap.enters else 'leaves'} {row.tap.module}"
        typer.echo(
            f"{row.name:{width}}  {shape:>16}  {n_features:>8} features"
            + (where if row.name != row.tap.module else "")
        )
