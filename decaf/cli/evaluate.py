"""`decaf evaluate` and `decaf demo`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf.cli import border, options
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
    """Show what transfer is, in under a minute and without a network: a table and report.html."""
    from decaf import demo as library
    from decaf.report.demo_summary import closing_lines, demo_grid
    from decaf.report.one_page import write_report
    from decaf.report.terminal import print_whole, terminal_grid
    from decaf.whole_files import require_output

    page = Path("report.html")
    require_output(page, ".html")
    table = library.demo(source=source, compute=compute, out=out)
    write_report([out], out=page, features=source.features)
    print_whole(terminal_grid(demo_grid(table)))
    files = (f"{page} to look at", str(out), f"the features in {source.features}")
    border.say("\n".join(closing_lines(table, files)))


def _show(table: object, out: Path | None) -> None:
    from decaf.evaluation import csv_path
    from decaf.report.terminal import print_whole, terminal_table
    from decaf.results import ResultTable

    if isinstance(table, ResultTable):
        print_whole(terminal_table(table, csv_path(table.results[0].dataset, out)))
