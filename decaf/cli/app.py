"""The `decaf` command: its subcommands, and how errors end it."""

import typer

from decaf import process
from decaf._version import __version__
from decaf.cli import (
    border,
    compare,
    datasets,
    detect,
    doctor,
    evaluate,
    extract,
    finetune,
    inspect,
    listings,
    looks,
    plot,
    report,
    search,
    store,
    train,
    tune,
)
from decaf.cli.helping import App

_RESULTS, _MODELS = "From images to results", "A model of your own"
_LOOK, _HERE = "Look and find", "What there is"

app = App(
    cls=border.Border,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Images to pretrained features, features to honest results tables.",
    epilog="For a first look: decaf demo. With images of your own, in a folder for each class: "
    "decaf evaluate --dataset FOLDER, then decaf report results/*.csv. For a shell that completes "
    "commands and options: decaf --install-completion.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for panel, commands in {
    _RESULTS: (
        evaluate.demo,
        extract.extract,
        evaluate.evaluate,
        tune.tune,
        compare.compare,
        report.report,
    ),
    _MODELS: (train.train, finetune.finetune, train.predict, train.export),
    _LOOK: (search.search, inspect.inspect),
    _HERE: (listings.layers, doctor.doctor),
}.items():
    for command in commands:
        app.command(command.__name__, rich_help_panel=panel)(command)
for name, group, panel in (
    ("index", search.app, _LOOK),
    ("detect", detect.app, _LOOK),
    ("plot", plot.app, _LOOK),
    ("visualize", looks.visualize, _LOOK),
    ("models", listings.app, _HERE),
    ("datasets", datasets.app, _HERE),
    ("store", store.app, _HERE),
):
    app.add_typer(group, name=name, rich_help_panel=panel)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"decaf {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line; a user's mistake ends in one message, without a traceback."""
    process.own()
    border.run(app)
