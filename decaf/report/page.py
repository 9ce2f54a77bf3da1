"""Parts of a page, and the page as one file that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from decaf._version import __version__
from decaf.analysis.thumbnails import data_uri
from decaf.datasets import ImageFiles
from decaf.escapes import visible
from decaf.report.drawing import inline_svg
from decaf.report.grid import Grid, Row
from decaf.whole_files import write_whole


@dataclass(frozen=True)
class PageTable:
    """A table of a page.

    Attributes
    ----------
    caption : str
        What it shows.
    columns : tuple of str
        Headers, that of the row labels first.
    groups : tuple of tuple of Row
        Rows that stay together when the table is sorted.
    notes : tuple of str
        Footnotes.
    words : frozenset of str
        Columns of text; the others are of numbers.
    filter : str
        What to call the box that filters rows by label; no box where empty.
    """

    caption: str
    columns: tuple[str, ...]
    groups: tuple[tuple[Row, ...], ...]
    notes: tuple[str, ...] = ()
    words: frozenset[str] = frozenset()
    filter: str = ""


@dataclass(frozen=True)
class PageFigure:
    """A figure of a page.

    Attributes
    ----------
    svg : str
        The SVG element.
    caption : str
        What it shows.
    """

    svg: Markup
    caption: str


def plain_table(
    caption: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], **options: Any
) -> PageTable:
    """Return a table of rows that do not belong together; each starts with its label."""
    groups = tuple((Row(str(label), tuple(cells)),) for label, *cells in rows)
    return PageTable(caption, tuple(columns), groups, **options)


def grid_table(grid: Grid, **options: Any) -> PageTable:
    """Return a grid as a table; published figures stay with ours above them."""
    groups: list[list[Row]] = []
    for row in grid.rows:
        if row.published and groups:
            groups[-1].append(row)
        else:
            groups.append([row])
    columns = (grid.corner, *grid.columns)
    return PageTable(grid.title, columns, tuple(map(tuple, groups)), grid.notes, **options)


def page_figure(figure: Figure, name: str, caption: str) -> PageFigure:
    """Return a figure for a page; `name` is unique there."""
    return PageFigure(Markup(inline_svg(figure, name, caption)), caption)  # noqa: S704 - own SVG


def image(files: ImageFiles | None, image_id: str, description: str) -> str:
    """Return a small image for a table's cell; the description where there is no image."""
    description = visible(description)
    address = None if files is None else data_uri(files, image_id)
    if address is None:
        return description
    tag = Markup('<img src="{}" alt="{}">')
    return tag.format(address, description)


def write_page(template: str, out: Path, title: str, **content: Any) -> Path:
    """Write a page; it is whole or not there.

    Parameters
    ----------
    template : str
        Name of a template.
    out : pathlib.Path
        Where to.
    title : str
        The page's title.
    **content : object
        What the template shows.
    """
    environment = Environment(
        loader=PackageLoader("decaf.report"),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else visible(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    text = environment.get_template(template).render(title=title, version=__version__, **content)
    write_whole(out, text)
    return out
