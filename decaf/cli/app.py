"""The `decaf` command: its subcommands, and how errors end it."""

import typer

from decaf import process
from decaf._version import __version__
from decaf.cli import (
    border,
    compare,
    datasets,
    detect,
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

app = typer.Typer(
    cls=border.Border,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Images to pretrained features, features to honest results tables.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("extract")(extract.extract)
app.command("evaluate")(evaluate.evaluate)
app.command("tune")(tune.tune)
app.command("train")(train.train)
app.command("predict")(train.predict)
app.command("export")(train.export)
app.command("finetune")(finetune.finetune)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("search")(search.search)
app.command("inspect")(inspect.inspect)
app.command("demo")(evaluate.demo)
app.command("layers")(listings.layers)
app.add_typer(plot.app, name="plot")
app.add_typer(looks.visualize, name="visualize")
app.add_typer(datasets.app, name="datasets")
app.add_typer(listings.app, name="models")
app.add_typer(search.app, name="index")
app.add_typer(store.app, name="store")
app.add_typer(detect.app, name="detect")


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
