"""What the demo shows: a table, and three lines that say what it means."""

from collections.abc import Mapping, Sequence

from decaf.report.grid import CHANCE, PIXELS, RANDOM, Grid, Row, per_cent
from decaf.results import Aggregate, ResultTable

PRETRAINED, UNTRAINED = "pretrained", "random weights"
_OTHERS = (UNTRAINED, PIXELS)


def demo_grid(table: ResultTable) -> Grid:
    """Return the demo's learning curves beside each other: numbers of images down."""
    rows = tuple(
        Row(shots, tuple(_with_interval(by[name]) for name in (PRETRAINED, *_OTHERS)))
        for shots, by in _by_shots(table).items()
    )
    some = table.aggregates()[0]
    note = (
        f"mean of {some.n_splits} random draws and its 95 % interval; each tests {some.n_test} "
        f"other digits; guessing gives {per_cent(1 / some.n_classes)} %"
    )
    title = "handwritten digits named right, %, by a linear head on three kinds of features"
    return Grid(title, "images of each digit", (PRETRAINED, *_OTHERS), rows, (note,))


def verdict(table: ResultTable) -> str:
    """Say in a sentence whether pretrained features win, by how much, and where they do not."""
    curves = _by_shots(table)
    best = {
        n: max((by[name] for name in _OTHERS), key=lambda a: a.mean) for n, by in curves.items()
    }
    gains = [100 * (curves[n][PRETRAINED].mean - other.mean) for n, other in best.items()]
    won = [n for n, other in best.items() if curves[n][PRETRAINED].ci95_low > other.ci95_high]
    if len(won) == len(curves):
        return (
            "features learned on photographs beat those of an untrained net, and bare pixels, from "
            f"{won[0]} to {won[-1]} images of each digit: by {min(gains):.1f} to {max(gains):.1f} "
            "points, outside the intervals; that is transfer"
        )
    apart = f"at {', '.join(won)} of" if won else "at none of"
    return (
        f"features learned on photographs beat the others outside the intervals {apart} "
        f"{', '.join(curves)} images of each digit; elsewhere more splits would be needed to tell"
    )


def _by_shots(table: ResultTable) -> Mapping[str, Mapping[str, Aggregate]]:
    found: dict[str, dict[str, Aggregate]] = {}
    for a in table.aggregates():
        if a.head != CHANCE:
            name = (
                PIXELS if a.backbone == PIXELS else UNTRAINED if a.weights == RANDOM else PRETRAINED
            )
            found.setdefault(a.drawn, {})[name] = a
    return found


def _with_interval(a: Aggregate) -> str:
    return f"{per_cent(a.mean)} [{per_cent(a.ci95_low)}, {per_cent(a.ci95_high)}]"


def closing_lines(table: ResultTable, files: Sequence[str]) -> tuple[str, str, str]:
    """Return the demo's last lines: what was seen, where the files are, what to type next."""
    own = (
        "Next, with images of your own, in a folder for each class: "
        "decaf evaluate --dataset FOLDER --backbone decaf-mini --controls"
    )
    return f"You saw: {verdict(table)}.", f"Files: {', '.join(files)}.", own
