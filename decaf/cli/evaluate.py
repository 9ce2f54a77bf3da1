"""`decaf evaluate` and `decaf demo`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import options
from decaf.cli.from_records import with_records
from decaf.records import Compute, Net, Overrides, Source


@with_records
def evaluate(
    *,
    data: options.StoreOrDataset,
    protocol: options.Protocol = None,
    heads: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated: svm (the default), logreg, svm-dropout, logreg-dropout, "
            "adaptation, knn, finetune; ridge for numbers to predict.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="CSV file; results/<dataset>.csv if not given.")
    ] = None,
    net: Net,
    overrides: Overrides,
    source: Source,
    compute: Compute,
) -> None:
    """Train heads on stored features under a protocol; extract the features where needed."""
    arguments = {**locals(), "data": data.only()}
    from decaf import evaluation

    _show(evaluation.evaluate(**arguments), out)


@with_records
def demo(
    *,
    out: Annotated[Path, typer.Option(help="CSV file of the results.")] = Path("results/demo.csv"),
    source: Source,
    compute: Compute,
) -> None:
    """Run the whole job once: digits through decaf-mini, heads on five splits, a table."""
    from decaf import demo as library

    _show(library.demo(source=source, compute=compute, out=out), out)


def _show(table: object, out: Path | None) -> None:
    from decaf.evaluation import csv_path
    from decaf.report.terminal import print_whole, terminal_table
    from decaf.results import ResultTable

    if isinstance(table, ResultTable):
        print_whole(terminal_table(table, csv_path(table.results[0].dataset, out)))
