"""`decaf store info`, `verify`, `join`, `import` and `export`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from decaf.choices import Dtype, FeatureForm
from decaf.cli import border, options
from decaf.cli.from_records import declared
from decaf.cli.helping import App
from decaf.records import Net

app = App(
    help="Look into feature stores, join their shards, and exchange features.", no_args_is_help=True
)

_Path = Annotated[Path, typer.Argument(help="A feature store (.h5).")]


@app.command()
def info(path: _Path) -> None:
    """Print what a store holds and how it was made, as JSON."""
    from decaf.store import store_info

    border.say(json.dumps(store_info(path), indent=2))


@app.command()
def verify(path: _Path) -> None:
    """Check every checksum of a store; exit with 1 where something is wrong."""
    from decaf.store import verify as problems_of

    problems = problems_of(path)
    for problem in problems:
        border.say(problem)
    if problems:
        raise typer.Exit(1)
    border.say(f"{path} is sound")


@app.command()
def join(
    parts: Annotated[list[Path], typer.Argument(help="All shards of one extraction.")],
    out: Annotated[Path, typer.Option(help="The store to make (.h5).")],
) -> None:
    """Make one store of the shards that `decaf extract --shard` wrote, without copying them."""
    from decaf.store import join as join_shards

    border.say(join_shards(parts, out))


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="A .npy, .npz, .parquet, .csv or .h5 file.")],
    out: Annotated[Path, typer.Option(help="The store to make (.h5).")],
    table: Annotated[
        Path | None,
        typer.Option(
            help="CSV of path,label[,split][,group] in the order of the rows; images need not be "
            "there. A .npz, .parquet or .csv that decaf wrote has one in it."
        ),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Which array, or the layer's name.")] = None,
    dtype: Annotated[Dtype | None, declared(Net, "dtype", "Values are rounded to it.")] = None,
) -> None:
    """Make a store of features that another program computed."""
    from decaf.datasets.manifest import load_manifest
    from decaf.store import import_features

    rows = path if table is None and path.suffix.lower() == ".csv" else table
    images = None if rows is None else load_manifest(rows, images=False)
    border.say(import_features(path, images, out, layer=layer, dtype=dtype))


@app.command()
def export(
    path: _Path,
    to: Annotated[FeatureForm, typer.Option(help="The form.")],
    out: Annotated[Path, typer.Option(help="The file to write; with npy a new folder.")],
    layers: options.StoreLayers = None,
) -> None:
    """Write a store's features with ids, labels, splits and groups in another form."""
    from decaf.store import export_features

    border.say(export_features(path, out, to, layers=layers))
