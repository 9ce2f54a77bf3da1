"""`decaf report`."""

from pathlib import Path
from typing import Annotated

import typer

from decaf import choices
from decaf.cli import border, options
from decaf.errors import ConfigError

Results = Annotated[list[Path], typer.Argument(help="Results of `decaf evaluate`: results/*.csv")]
Images = Annotated[
    str | None,
    typer.Option(
        help="Folder, archives, URL or CSV file of the images; the named data set's own if not "
        "given."
    ),
]


def report(
    paths: Results,
    *,
    out: Annotated[Path | None, typer.Option(help="The page; report.html if not given.")] = None,
    features: Annotated[
        Path, typer.Option(help="Folder of the stores; their versions are shown.")
    ] = Path("features"),
    images: Images = None,
    data_root: options.DataRoot = Path("data"),
    form: Annotated[
        choices.ReportFormat, typer.Option("--format", help="html, or markdown or latex on stdout.")
    ] = "html",
) -> None:
    """Write results as one page with tables, figures and mistakes, in a single file."""
    from decaf.report import latex_table, markdown_table
    from decaf.report.one_page import write_report
    from decaf.results import read_results

    texts = {"markdown": markdown_table, "latex": latex_table}
    if form in texts:
        if out is not None or images is not None:
            raise ConfigError(
                f"asked for {form}, which is printed and shows no images; leave --out and --images "
                "out"
            )
        border.say(texts[form](read_results(paths)))
    else:
        border.say(
            write_report(
                paths,
                out=out or "report.html",
                features=features,
                images=images,
                data_root=data_root,
            )
        )
