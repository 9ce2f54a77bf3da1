"""`decaf store info`, `decaf store verify` and `decaf store join`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border

app = typer.Typer(help="Look into feature stores, and join their shards.", no_args_is_help=True)

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
