"""The tables of a report, as text and in no markup yet. Figures become per cent here."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from decaf.metrics import METRICS
from decaf.published import VERIFIED
from decaf.report.telling import head
from decaf.results import Aggregate, ResultTable

NOT_CONVERGED = "†"
AT_EDGE = "‡"
UNFINISHED = "§"
UNVERIFIED = "≈"
RANDOM = "random"
PIXELS = "pixels"
CHANCE = "chance"
_SHOTS = " training images a class instead of "
_UNITS = {"log_loss": "in nats", "mae": "in the numbers' own unit", "spearman": "from -1 to 1"}
MOST_LAYERS_ACROSS = 4  # as many as fit into 80 columns; with more, layers go down


@dataclass(frozen=True)
class Row:
    """One line of a grid.

    Attributes
    ----------
    label : str
        What the line is of.
    cells : tuple of str
        One text per column.
    published : bool
        Whether the line shows published figures, beneath ours.
    """

    label: str
    cells: tuple[str, ...]
    published: bool = False


@dataclass(frozen=True)
class Grid:
    """One table of a report.

    Attributes
    ----------
    title : str
        Data set, net, protocol and metric.
    corner : str
        What the lines are.
    columns : tuple of str
        Headers of the cells.
    rows : tuple of Row
        The lines.
    notes : tuple of str
        Footnotes.
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def grids(table: ResultTable) -> tuple[Grid, ...]:
    """Return a table's results in the form that papers print.

    Heads go down and layers across. Results for several numbers of shots become one learning curve
    a layer: shots down, heads across.

    Returns
    -------
    tuple of Grid
        One per data set, net, protocol and metric, in order of first appearance; after it the
        other metrics, where some were asked for.
    """
    blocks = _with_controls(_grouped(table.aggregates(), setting))
    return tuple(
        grid
        for block in blocks
        for part in (_grouped(block, _layer) if _is_curve(block) else [block])
        for grid in (_grid(part), *_metrics(part))
    )


def per_cent(value: float, deviation: float | None = None) -> str:
    """Return a fraction as per cent with one decimal, with its deviation where it has one."""
    if math.isnan(value):
        return "–"
    if deviation is None or math.isnan(deviation):
        return f"{100 * value:.1f}"
    return f"{100 * value:.1f} ± {100 * deviation:.1f}"


def _grouped(block: Sequence[Aggregate], key: Callable[[Aggregate], Any]) -> list[list[Aggregate]]:
    groups: dict[Any, list[Aggregate]] = {}
    for a in block:
        groups.setdefault(key(a), []).append(a)
    return list(groups.values())


def _with_controls(blocks: Sequence[list[Aggregate]]) -> list[list[Aggregate]]:
    """Put the results of random weights, pixels and chance beneath those of trained nets."""
    trained = [block for block in blocks if not _is_control(block[0])]
    kept = []
    for block in blocks:
        first = block[0]
        same = _task if first.backbone == PIXELS else _net
        beside = [other for other in trained if same(other[0]) == same(first)]
        if _is_control(first) and beside:
            for other in beside:
                other.extend(block)
        else:
            kept.append(block)
    return kept


def _is_control(a: Aggregate) -> bool:
    return a.weights == RANDOM or a.backbone == PIXELS


def _net(a: Aggregate) -> tuple[str, ...]:
    return (*_task(a), a.backbone, a.pool, a.view)


def _task(a: Aggregate) -> tuple[str, ...]:
    data = (a.dataset, a.dataset_digest, a.domains)
    return (*data, a.protocol, a.metric, a.normalize, a.settings)


def setting(a: Aggregate) -> tuple[str, ...]:
    """Return what the results that share a table have in common."""
    net = (a.backbone, a.weights_sha256, a.pool, a.view)
    data = (a.dataset, a.dataset_digest, a.domains)
    return (*data, *net, a.protocol, a.metric, a.normalize, a.digest, a.settings)


def _is_curve(block: Sequence[Aggregate]) -> bool:
    return len({a.drawn for a in block}) > 1


def _grid(block: Sequence[Aggregate]) -> Grid:
    down: Callable[[Aggregate], str]
    across: Callable[[Aggregate], str]
    if _is_curve(block):
        corner, down, across = "shots", _shots, head
    elif len({a.layer for a in block}) > MOST_LAYERS_ACROSS:
        corner, down, across = "layer", _layer, head
    else:
        corner, down, across = "head", head, _layer
    if len({a.weights == RANDOM for a in block}) > 1:
        down = _with_weights(down)
    cells = {(down(a), across(a)): a for a in block}
    columns = tuple(dict.fromkeys(across(a) for a in block))
    rows: list[Row] = []
    for label in dict.fromkeys(down(a) for a in block):
        line = [cells.get((label, column)) for column in columns]
        rows.append(Row(label, tuple("" if a is None else ours(a) for a in line)))
        systems = [a.published_system for a in line if a is not None and a.published is not None]
        if systems:
            texts = tuple("" if a is None else published(a) for a in line)
            rows.append(Row(" / ".join(dict.fromkeys(systems)), texts, published=True))
    return Grid(_title(block), corner, columns, tuple(rows), tuple(_notes(block)))


def _metrics(block: Sequence[Aggregate]) -> Iterator[Grid]:
    """Yield a table with a line for each result and a column for each metric, if there are more."""
    own = (block[0].metric, block[0].other_metric)
    names = dict.fromkeys(name for a in block for name, *_ in a.more if name not in own)
    if not names:
        return
    down: Callable[[Aggregate], str] = _head_and_layer
    if len({a.weights == RANDOM for a in block}) > 1:
        down = _with_weights(down)
    rows = []
    for a in block:
        found = {own[0]: (a.mean, a.std), own[1]: (a.other_mean, a.other_std)}
        found |= {name: (mean, std) for name, mean, std in a.more}
        cells = (_in_unit(name, *found[name]) if name in found else "" for name in (*own, *names))
        rows.append(Row(f"{down(a)}, {_shots(a)}" if _is_curve(block) else down(a), tuple(cells)))
    columns = tuple(METRICS[name].label for name in (*own, *names))
    a = block[0]
    title = " · ".join((a.dataset, a.backbone, f"protocol {a.protocol}", "more metrics"))
    notes = [f"{_spread(block, interval=False)}; in per cent"]
    if units := [
        f"{METRICS[name].label} {_UNITS[name]}" for name in _UNITS if name in (*own, *names)
    ]:
        notes[0] += f", but {', '.join(units)}"
    if any(METRICS[name].of == "probabilities" for name in names):
        notes.append(
            "probabilities of heads without such (svm) are their scores, calibrated on training "
            "images that were held out"
        )
    corner = "head, layer, a class" if _is_curve(block) else "head and layer"
    yield Grid(title, corner, columns, tuple(rows), tuple(notes))


def _in_unit(name: str, mean: float, std: float) -> str:
    if METRICS[name].is_share or math.isnan(mean):
        return per_cent(mean, std)
    return f"{mean:.3f}" + ("" if math.isnan(std) else f" ± {std:.3f}")


def _shots(a: Aggregate) -> str:
    return a.drawn


def _layer(a: Aggregate) -> str:
    return a.layer


def _head_and_layer(a: Aggregate) -> str:
    return f"{head(a)} on {a.layer}"


def _with_weights(label: Callable[[Aggregate], str]) -> Callable[[Aggregate], str]:
    return lambda a: label(a) + (", random weights" if a.weights == RANDOM else "")


def ours(a: Aggregate) -> str:
    """Return our figure with the marks of doubtful fits."""
    marks = ("" if a.converged else NOT_CONVERGED) + (AT_EDGE if a.c_at_edge else "")
    marks += "" if a.finished else UNFINISHED
    return per_cent(a.mean, a.std) + _interval(a) + marks


def _interval(a: Aggregate) -> str:
    """Return the bootstrap interval of a single split, which has no deviation."""
    if a.boot_low is None or a.boot_high is None:
        return ""
    return f" [{per_cent(a.boot_low)}, {per_cent(a.boot_high)}]"


def published(a: Aggregate) -> str:
    """Return the published figure, marked where it is not verified; empty where there is none."""
    if a.published is None:
        return ""
    mark = "" if a.published_verified in VERIFIED else f"{UNVERIFIED} "
    return mark + per_cent(a.published, a.published_deviation)


def _title(block: Sequence[Aggregate]) -> str:
    a = block[0]
    shots = "" if a.drawn == "all" else f"{a.drawn} a class"
    varying = a.layer if _is_curve(block) else shots
    domains = a.domains.replace(":", " → ")
    parts = (a.dataset, domains, a.backbone, f"protocol {a.protocol}", varying)
    return " · ".join(filter(None, [*parts, METRICS[a.metric].label])) + ", %"


def _notes(block: Sequence[Aggregate]) -> list[str]:
    first = block[0]
    notes = [*dict.fromkeys(map(_features, block)), _spread(block)]
    if first.metric in {"top1", "mean_per_class"}:
        notes.append(f"chance: {per_cent(1 / first.n_classes)} %")
    notes += mark_notes(block)
    if first.settings:
        notes.append(f"settings: {first.settings}")
    differences = _together(note for a in block for note in a.notes)
    if differences:
        notes.append(f"differs from protocol {first.protocol}: {'; '.join(differences)}")
    printed = [a for a in block if a.published is not None]
    if any(a.published_verified not in VERIFIED for a in printed):
        notes.append(f"{UNVERIFIED} not read in the publication itself, but elsewhere")
    for source in _grouped(printed, lambda a: a.published_source):
        said = dict.fromkeys(a.published_note for a in source if a.published_note)
        notes.append("; ".join([f"published: {source[0].published_source}", *said]))
    return notes


def mark_notes(block: Sequence[Aggregate]) -> list[str]:
    """Return what the marks of `ours` mean, as far as some are there."""
    notes = []
    if any(not a.converged for a in block):
        notes.append(f"{NOT_CONVERGED} a fit did not converge: not the optimum it should be")
    if any(a.c_at_edge for a in block):
        notes.append(f"{AT_EDGE} C was chosen at the edge of its grid: a wider grid may do better")
    unfinished = dict.fromkeys(a.splits for a in block if not a.finished)
    if unfinished:
        notes.append(f"{UNFINISHED} unfinished: {' or '.join(unfinished)} so far")
    return notes


def _together(notes: Iterable[str]) -> list[str]:
    """Return notes, each once; those that differ only in the shots they begin with are one."""
    found: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        number, rest = note.split(" ", 1) if _SHOTS in note and note[0].isdigit() else ("", note)
        found.setdefault(rest, []).append(number)
    return [f"{', '.join(numbers)} {rest}".strip() for rest, numbers in found.items()]


def _features(a: Aggregate) -> str:
    pool = "" if a.pool == "none" else f", pool {a.pool}"
    features = f"view {a.view}{pool}, normalised {a.normalize}"
    if a.backbone == PIXELS:
        return f"pixels: a tiny image and a histogram of its colours, nothing learned; {features}"
    if a.weights == RANDOM:
        return f"weights: RANDOM, an untrained net, so this is no transfer learning; {features}"
    return f"weights: {a.weights} (sha256 {a.weights_sha256[:8]}); {features}"


def _spread(block: Sequence[Aggregate], *, interval: bool = True) -> str:
    counts = {a.n_splits: a.splits for a in sorted(block, key=lambda a: (a.n_splits, a.of_splits))}
    over = dict.fromkeys(a.boot_over for a in block if a.boot_over)
    said = bootstrap_note(tuple(over)) if interval and over else ""
    if list(counts.values()) == ["1 split"]:
        return f"one split, so no deviation{said and '; '}{said}"
    told = [told.removesuffix(" splits").removesuffix(" split") for told in counts.values()]
    several = f"mean ± standard deviation over {' or '.join(told)} splits"
    return f"{several}; of one split, {said}" if said else several


def bootstrap_note(over: Sequence[str]) -> str:
    """Say what the intervals in brackets are, drawn over ``1200 images`` or the like."""
    return (
        f"in brackets the 95 % bootstrap interval over its test side ({' or '.join(over)}), the "
        "head as it is"
    )
