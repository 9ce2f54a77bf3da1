"""`decaf report`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices
from decaf.cli import border
from decaf.cli.from_records import declared, with_records
from decaf.errors import ConfigError
from decaf.records import Images, Source

Results = Annotated[list[Path], typer.Argument(help="Results of `decaf evaluate`: results/*.csv")]


@with_records
def report(
    paths: Results,
    *,
    out: Annotated[Path | None, typer.Option(help="The page; report.html if not given.")] = None,
    features: Annotated[
        Path, declared(Source, "features", "The versions that made them are shown.")
    ] = Path("features"),
    form: Annotated[
        choices.ReportFormat, typer.Option("--format", help="html, or markdown or latex on stdout.")
    ] = "html",
    images: Images,
) -> None:
    """Write results as one page with tables, figures and mistakes, in a single file."""
    from decaf.report import latex_table, markdown_table
    from decaf.report.one_page import write_report
    from decaf.results import read_results

    texts = {"markdown": markdown_table, "latex": latex_table}
    if form in texts:
        if out is not None or images.images is not None:
            raise ConfigError(
                f"asked for {form}, which is printed and shows no images; leave --out and --images "
                "out"
            )
        border.say(texts[form](read_results(paths)))
    else:
        page = write_report(paths, out=out or "report.html", features=features, images=images)
        border.say(page)
