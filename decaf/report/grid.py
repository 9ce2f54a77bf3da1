"""The tables of a report, as text and in no markup yet. Figures become per cent here."""

import math
from collections.abc import Callable, Sequence
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
        One per data set, net, protocol and metric, in order of first appearance.
    """
    blocks = _with_controls(_grouped(table.aggregates(), setting))
    return tuple(
        _grid(part)
        for block in blocks
        for part in (_grouped(block, _layer) if _is_curve(block) else [block])
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
    return len({a.shots for a in block}) > 1


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


def _shots(a: Aggregate) -> str:
    return "all" if a.shots is None else str(a.shots)


def _layer(a: Aggregate) -> str:
    return a.layer


def _with_weights(label: Callable[[Aggregate], str]) -> Callable[[Aggregate], str]:
    return lambda a: label(a) + (", random weights" if a.weights == RANDOM else "")


def ours(a: Aggregate) -> str:
    """Return our figure with the marks of doubtful fits."""
    marks = ("" if a.converged else NOT_CONVERGED) + (AT_EDGE if a.c_at_edge else "")
    marks += "" if a.finished else UNFINISHED
    return per_cent(a.mean, a.std) + marks


def published(a: Aggregate) -> str:
    """Return the published figure, marked where it is not verified; empty where there is none."""
    if a.published is None:
        return ""
    mark = "" if a.published_verified in VERIFIED else f"{UNVERIFIED} "
    return mark + per_cent(a.published, a.published_deviation)


def _title(block: Sequence[Aggregate]) -> str:
    a = block[0]
    shots = "" if a.shots is None else f"{a.shots} a class"
    varying = a.layer if _is_curve(block) else shots
    domains = a.domains.replace(":", " → ")
    parts = (a.dataset, domains, a.backbone, f"protocol {a.protocol}", varying)
    return " · ".join(filter(None, [*parts, METRICS[a.metric].label])) + ", %"


def _notes(block: Sequence[Aggregate]) -> list[str]:
    first = block[0]
    notes = [*dict.fromkeys(map(_features, block)), _spread(block)]
    if first.metric in {"top1", "mean_per_class"}:
        notes.append(f"chance: {per_cent(1 / first.n_classes)} %")
    if any(not a.converged for a in block):
        notes.append(f"{NOT_CONVERGED} a fit did not converge: not the optimum it should be")
    if any(a.c_at_edge for a in block):
        notes.append(f"{AT_EDGE} C was chosen at the edge of its grid: a wider grid may do better")
    unfinished = dict.fromkeys(a.splits for a in block if not a.finished)
    if unfinished:
        notes.append(f"{UNFINISHED} unfinished: {' or '.join(unfinished)} so far")
    if first.settings:
        notes.append(f"settings: {first.settings}")
    differences = dict.fromkeys(note for a in block for note in a.notes)
    if differences:
        notes.append(f"differs from protocol {first.protocol}: {'; '.join(differences)}")
    printed = [a for a in block if a.published is not None]
    if any(a.published_verified not in VERIFIED for a in printed):
        notes.append(f"{UNVERIFIED} not read in the publication itself, but elsewhere")
    for source in _grouped(printed, lambda a: a.published_source):
        said = dict.fromkeys(a.published_note for a in source if a.published_note)
        notes.append("; ".join([f"published: {source[0].published_source}", *said]))
    return notes


def _features(a: Aggregate) -> str:
    pool = "" if a.pool == "none" else f", pool {a.pool}"
    features = f"view {a.view}{pool}, normalised {a.normalize}"
    if a.backbone == PIXELS:
        return f"pixels: a tiny image and a histogram of its colours, nothing learned; {features}"
    if a.weights == RANDOM:
        return f"weights: RANDOM, an untrained net, so this is no transfer learning; {features}"
    return f"weights: {a.weights} (sha256 {a.weights_sha256[:8]}); {features}"


def _spread(block: Sequence[Aggregate]) -> str:
    counts = {a.n_splits: a.splits for a in sorted(block, key=lambda a: (a.n_splits, a.of_splits))}
    if list(counts.values()) == ["1 split"]:
        return "one split, so no deviation"
    told = [told.removesuffix(" splits").removesuffix(" split") for told in counts.values()]
    return f"mean ± standard deviation over {' or '.join(told)} splits"
