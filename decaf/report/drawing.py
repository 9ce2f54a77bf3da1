"""How every figure looks, as a file and inside a page."""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from markupsafe import escape
from matplotlib.figure import Figure

from decaf.escapes import visible
from decaf.whole_files import require_output, whole_file

FORMATS = (".png", ".svg", ".pdf")
WIDTH_IN = 4.6
"""As wide as a phone shows without making the text too small to read."""

INK, RULE, PAPER = "#1b1b1f", "#d4d4da", "#fefefe"
COLOURS = ("#0062b8", "#b34700", "#00735c", "#96307a", "#6b6100", "#56565e")
"""At 4.5 to 1 and more on white, and apart for colour-blind eyes by lightness and dash as well."""

DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))

_STYLE: Any = {
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=COLOURS),
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": PAPER,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def house_style(salt: str = "decaf") -> Iterator[None]:
    """Draw in decaf's style inside the block; the ids of an SVG are made of `salt`."""
    with mpl.rc_context({**_STYLE, "svg.hashsalt": salt}):
        yield


def check_output(path: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before work is done, a path that no figure can be written to.

    Raises
    ------
    ConfigError
        If it ends in none of `FORMATS`, or is one of `inputs`.
    DataError
        If it cannot be written.
    """
    require_output(path, *FORMATS, inputs=inputs)


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, SVG or PDF; equal figures make equal files.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A figure.
    path : pathlib.Path
        Where to; its ending says the format.

    Raises
    ------
    ConfigError
        It ends in none of `FORMATS`.
    """
    check_output(path)
    undated: dict[str, Any] = {
        ".svg": {"Date": None},
        ".pdf": {"CreationDate": None},
    }.get(path.suffix.lower(), {})
    with whole_file(path) as part, house_style("decaf"):
        figure.savefig(part, bbox_inches="tight", metadata=undated)
    return path


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an SVG element that takes a page's colours and width.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        A figure of a page.
    name : str
        Unique in the page; the element's ids are made of it.
    title : str
        What the figure shows, for those who cannot see it.

    Returns
    -------
    str
        ``<svg>...</svg>``.
    """
    buffer = io.StringIO()
    metadata: dict[str, Any] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with house_style(name):
        figure.savefig(
            buffer, format="svg", bbox_inches="tight", metadata=metadata, transparent=True
        )
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[\w.]+_\d+">', "<g>", svg)  # the same in every figure
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"(?<=\d\.\d\d)\d+", "", svg)  # hundredths of a point are enough
    colours = {INK: "currentColor", RULE: "var(--rule)", PAPER: "var(--paper)"}
    colours |= {colour: f"var(--c{number})" for number, colour in enumerate(COLOURS, 1)}
    for colour, variable in colours.items():
        svg = svg.replace(colour, variable)
    view_box = re.search(r'viewBox="([^"]+)"', svg)
    box = view_box.group(1) if view_box else "0 0 100 100"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" role="img" aria-labelledby="{name}-title">'
        f'<title id="{name}-title">{escape(visible(title))}</title>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: head, svg, count=1).strip()
