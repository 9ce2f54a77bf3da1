"""Our results beside the published ones, and beside each other where none is published."""

import math

import pandas as pd

from decaf.metrics import METRICS
from decaf.report.grid import RANDOM, Grid, Row, bootstrap_note, ours, per_cent, published
from decaf.report.telling import head, telling
from decaf.results import Aggregate, ResultTable

_COLUMNS = ("protocol", "layer and head", "ours", "published", "diff.", "inside")
_NOTES = (
    "mean ± standard deviation over splits, in per cent; difference in points",
    "inside: by no more than our standard deviation plus the printed one, where there are such",
)
_OF_ONE = "inside, of one split: whether the published figure is in our interval"


def comparison(table: ResultTable) -> Grid:
    """Return every result that has a published figure beside that figure.

    Returns
    -------
    Grid
        One line per result over splits; a last note counts those without a published figure.
    """
    rows = table.aggregates()
    compared = [(a, a.published) for a in rows if a.published is not None]
    without = len(rows) - len(compared)
    over = tuple(dict.fromkeys(a.boot_over for a, _ in compared if a.boot_over))
    notes = (*_NOTES, *((f"of one split, {bootstrap_note(over)}", _OF_ONE) if over else ()))
    notes += (f"without a published figure: {without}",) if without else ()
    rows_shown = tuple(_row(*pair) for pair in compared)
    return Grid("ours and published", "data set", _COLUMNS, rows_shown, notes)


def _row(a: Aggregate, printed: float) -> Row:
    shots = "" if a.drawn == "all" else f" {a.drawn}"
    cells = (
        f"{a.protocol}{shots}",
        f"{a.layer} {head(a)}",
        ours(a),
        published(a),
        *_difference(a, printed),
    )
    return Row(f"{a.dataset} ({RANDOM})" if a.weights == RANDOM else a.dataset, cells)


def side_by_side(table: ResultTable) -> tuple[Grid, ...]:
    """Return the results that have no published figure, nets and heads beside each other.

    Returns
    -------
    tuple of Grid
        One per data set, protocol, number of shots and metric: nets and layers down, heads across.
    """
    blocks: dict[tuple[object, ...], list[Aggregate]] = {}
    for a in table.aggregates():
        if a.published is None:
            task = (a.dataset, a.dataset_digest, a.protocol, a.settings, a.drawn, a.metric)
            blocks.setdefault(task, []).append(a)
    return tuple(_beside(block) for block in blocks.values())


def comparison_frame(table: ResultTable) -> pd.DataFrame:
    """Return every result beside its published figure, as numbers.

    Returns
    -------
    pandas.DataFrame
        One row per result over splits; figures are fractions, empty where none is published.
    """
    frame = table.to_frame()
    names = ["dataset", "backbone", "weights", "layer", "pool", "view", "normalize", "head"]
    names += ["protocol", "settings", "head_settings", "shots", "train_share"]
    names += ["n_splits", "of_splits", "metric"]
    names += [
        "mean",
        "std",
        "boot_low",
        "boot_high",
        "published",
        "published_deviation",
        "published_source",
    ]
    inside = pd.Series(
        [None if a.published is None else _inside(a, a.published) for a in table.aggregates()],
        dtype="boolean",
    )
    difference = frame["mean"] - frame["published"].astype("float64")
    return frame[names].assign(difference=difference, inside=inside)


def _beside(block: list[Aggregate]) -> Grid:
    first, heads = block[0], tuple(dict.fromkeys(head(a) for a in block))
    lines: dict[tuple[str, ...], dict[str, Aggregate]] = {}
    for a in block:
        net = (a.weights_sha256, a.digest, a.layer, a.normalize)
        lines.setdefault(net, {})[head(a)] = a
    firsts = [next(iter(line.values())) for line in lines.values()]
    names = telling(firsts, lambda row: row.layer)
    shots = "" if first.drawn == "all" else f"{first.drawn} a class"
    parts = (f"side by side: {first.dataset}", f"protocol {first.protocol}", shots, first.settings)
    title = " · ".join(filter(None, (*parts, METRICS[first.metric].label))) + ", %"
    rows = tuple(
        Row(names[one.key], tuple(ours(line[h]) if h in line else "" for h in heads))
        for one, line in zip(firsts, lines.values(), strict=True)
    )
    splits = " or ".join(dict.fromkeys(a.splits for a in block))
    over = tuple(dict.fromkeys(a.boot_over for a in block if a.boot_over))
    one = (f"of one split, {bootstrap_note(over)}",) if over else ()
    notes = (f"mean ± standard deviation over splits, in per cent; {splits}", *one, *_net(block))
    return Grid(title, "net and layer", heads, rows, notes)


def _net(block: list[Aggregate]) -> tuple[str, ...]:
    """Say the net where all lines have one, so that no line does."""
    nets = {f"{a.backbone}, weights {a.weights}" for a in block}
    return (f"net: {nets.pop()}",) if len(nets) == 1 else ()


def _difference(a: Aggregate, printed: float) -> tuple[str, str]:
    """Return the difference, and whether the two standard deviations allow it."""
    difference = a.mean - printed
    text = f"{'+' if difference >= 0 else '−'}{per_cent(abs(difference))}"
    inside = _inside(a, printed)
    return text, "–" if inside is None else "yes" if inside else "no"


def _inside(a: Aggregate, printed: float) -> bool | None:
    """Return whether deviations, or of one split the interval, allow a difference; None if none."""
    if a.boot_low is not None and a.boot_high is not None:
        return a.boot_low <= printed <= a.boot_high
    known = [s for s in (a.std, a.published_deviation) if s is not None and not math.isnan(s)]
    return abs(a.mean - printed) <= sum(known) if known else None
