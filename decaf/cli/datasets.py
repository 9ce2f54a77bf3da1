"""`decaf datasets`: list, get and check the named data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from decaf.cli import border, options
from decaf.cli.helping import App

if TYPE_CHECKING:
    from decaf.datasets import DatasetInfo

app = App(help="List, get and check the named data sets.")

_Name = Annotated[str, typer.Argument(help="Name of a data set; see `decaf datasets`.")]


@app.callback(invoke_without_command=True)
def datasets(context: typer.Context, data_root: options.DataRoot = Path("data")) -> None:
    """List the named data sets, and whether their images are here."""
    if context.invoked_subcommand is None:
        _list(data_root)


@app.command("list")
def list_all(data_root: options.DataRoot = Path("data")) -> None:
    """List the named data sets, and whether their images are here."""
    _list(data_root)


@app.command()
def get(
    name: _Name,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", help="An archive that you have, or a folder of them; else downloaded."
        ),
    ] = None,
    data_root: options.DataRoot = Path("data"),
) -> None:
    """Bring a data set under the data root, whole or not at all, and print where it is."""
    from decaf.datasets import fetch, load_dataset

    info = _info(name)
    if info.archives:
        border.say(fetch(info, data_root, source))
    else:  # its adapter writes the images itself
        border.say(load_dataset(name, data_root).root)


@app.command()
def check(name: _Name, data_root: options.DataRoot = Path("data")) -> None:
    """Compare a data set's images and lists with the published counts."""
    from decaf.datasets import load_dataset

    tree = _info(name).require(data_root)  # so that nothing is downloaded
    table = load_dataset(name, data_root)
    border.say(
        f"{tree} is complete: {len(table.image_ids)} images or boxes, "
        f"{len(table.class_names)} classes"
    )


def _list(data_root: Path) -> None:
    from decaf.datasets import dataset_infos

    for info in dataset_infos():
        here = "present" if info.is_present(data_root) else "absent"
        border.say(f"{info.name:18} {here:8} {info.summary}")


def _info(name: str) -> "DatasetInfo":
    from decaf.choices import check_choice
    from decaf.datasets import ADAPTERS

    check_choice("data set", name, tuple(ADAPTERS))
    return ADAPTERS[name].INFO
