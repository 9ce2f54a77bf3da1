"""The figures of the papers: accuracy against shots, layer by layer, and class by class."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from decaf.errors import DataError
from decaf.escapes import figure_text
from decaf.metrics import METRICS
from decaf.metrics.probabilities import Reliability
from decaf.published import PublishedFigure, published_figures
from decaf.report.details import ClassValue
from decaf.report.drawing import COLOURS, DASHES, INK, PAPER, WIDTH_IN, house_style
from decaf.report.grid import CHANCE, PIXELS, RANDOM
from decaf.report.telling import head
from decaf.results import Aggregate, ResultTable

N_EXTREMES = 15
"""Best and worst classes that are drawn."""

UNTRAINED = ", random weights"
"""End of the name of a net that is not trained."""

_BAR_IN = 0.17


def curve_figure(table: ResultTable) -> Figure:
    """Draw accuracy against training images a class, with the published curves.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a data set and protocol; bands are one standard deviation over splits.

    Raises
    ------
    DataError
        No data set has results for several numbers of shots.

    References
    ----------
    DeCAF, figure 4 right; Zeiler and Fergus, figure 9.
    """
    blocks = [b for b in _settings(table) if max(_shots_of(b).values(), default=0) > 1]
    return _panels(blocks, _draw_curve, "several numbers of shots; use --train-per-class 1,5,10")


def layers_figure(table: ResultTable) -> Figure:
    """Draw accuracy layer by layer, with the published figures.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a data set and protocol; bars are one standard deviation over splits.

    Raises
    ------
    DataError
        No data set has results for several layers.

    References
    ----------
    Zeiler and Fergus, table 7.
    """
    blocks = [_one_shots(b) for b in _settings(table)]
    blocks = [
        b for b in blocks if len({(a.backbone, a.layer) for a in b}) > len({a.backbone for a in b})
    ]
    return _panels(blocks, _draw_layers, "several layers; use --layers")


def domains_figure(table: ResultTable) -> Figure:
    """Draw what each way of training gives in another domain.

    Parameters
    ----------
    table : ResultTable
        Results of a protocol of domains.

    Returns
    -------
    matplotlib.figure.Figure
        One panel a data set and pair of domains; bars are 95 % intervals over splits.

    Raises
    ------
    DataError
        No results are of domains.

    References
    ----------
    DeCAF, table 2.
    """
    blocks = [_one_shots(b) for b in _settings(table) if b[0].domains]
    if not blocks:
        raise DataError("asked to draw a figure, found no data set with domains; use --domains")
    nets = list(dict.fromkeys(_net(a) for block in blocks for a in block))
    with house_style():
        figure = Figure((WIDTH_IN, 2.8 * len(blocks) + 0.1 * len(nets)), layout="constrained")
        panels = figure.subplots(len(blocks), squeeze=False)[:, 0]
        for axes, block in zip(panels, blocks, strict=True):
            _draw_domains(axes, block, nets)
            axes.set_title(
                figure_text(f"{block[0].dataset}, {_domains(block[0])}protocol {block[0].protocol}")
            )
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9)
    return figure


def classes_figure(values: Sequence[ClassValue], label: str) -> Figure:
    """Draw the best and the worst classes as bars.

    Returns
    -------
    matplotlib.figure.Figure
        Up to `N_EXTREMES` of either end; lines are one standard deviation over splits.
    """
    few = len(values) <= 2 * N_EXTREMES
    gap = [] if few else [None]
    shown = list(values) if few else [*values[:N_EXTREMES], *gap, *values[-N_EXTREMES:]]
    with house_style():
        figure = Figure((WIDTH_IN, 0.7 + _BAR_IN * len(shown)))
        axes = figure.subplots()
        for place, value in enumerate(shown):
            if value is None:
                continue
            spread = None if np.isnan(value.std) else 100 * value.std
            best = few or place < N_EXTREMES
            axes.barh(place, 100 * value.mean, color=COLOURS[0 if best else 1], height=0.72)
            if spread is not None:
                axes.errorbar(100 * value.mean, place, xerr=spread, color=INK, linewidth=0.8)
        axes.set_yticks(
            range(len(shown)), ["⋮" if value is None else _short(value.name) for value in shown]
        )
        axes.tick_params(axis="y", length=0, labelsize=9)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 100)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(figure_text(label))
    return figure


def reliability_figure(found: Reliability) -> Figure:
    """Draw how often a head is right against how sure it is, and how many rows that is of.

    Parameters
    ----------
    found : Reliability
        The bins; where bars are below the line, the head is too sure.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels above one another.

    References
    ----------
    Guo et al., On calibration of modern neural networks, ICML 2017, figure 1.
    """
    n_bins, width = len(found.counts), 100 / len(found.counts)
    places = (np.arange(n_bins) + 0.5) * width
    with house_style():
        figure = Figure((WIDTH_IN, 4.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.bar(places, 100 * np.nan_to_num(found.accuracy), 0.9 * width, color=COLOURS[0])
        above.plot([0, 100], [0, 100], linestyle=DASHES[1], color=INK, linewidth=1)
        above.set_ylim(0, 100)
        above.set_ylabel("right, %")
        above.set_title(f"calibration error (ECE) {100 * found.error:.1f} %")
        below.bar(places, found.counts, 0.9 * width, color=COLOURS[5])
        below.set_ylabel("images")
        below.set_xlabel("probability of the class that is said, %")
        below.set_xlim(0, 100)
    return figure


def _panels(
    blocks: Sequence[Sequence[Aggregate]],
    draw: Callable[[Axes, Sequence[Aggregate]], None],
    needed: str,
) -> Figure:
    if not blocks:
        raise DataError(f"asked to draw a figure, found no data set with {needed}")
    with house_style():
        figure = Figure((WIDTH_IN, 3.4 * len(blocks)), layout="constrained")
        for axes, block in zip(
            figure.subplots(len(blocks), squeeze=False)[:, 0], blocks, strict=True
        ):
            draw(axes, block)
            first = block[0]
            if len(blocks) > 1:
                axes.set_title(
                    figure_text(f"{first.dataset}, {_domains(first)}protocol {first.protocol}")
                )
            axes.set_ylabel(f"{METRICS[first.metric].label}, %")
            handles, _ = axes.get_legend_handles_labels()
            columns = 1 if len(handles) < 3 else 2
            axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.16), ncols=columns, fontsize=9)
    return figure


def _draw_curve(axes: Axes, block: Sequence[Aggregate]) -> None:
    counts = _shots_of(block)
    several = [a for a in block if a.drawn != "all" and a.head != CHANCE and counts[_system(a)] > 1]
    rows = sorted(several, key=lambda a: (*_system(a), a.n_train))
    systems = [_system(a) for a in rows]
    for number, (system, line) in enumerate(groupby(rows, _system)):
        points = list(line)
        shots = [a.shots or a.n_train / a.n_classes for a in points]
        mean, std = (np.array([100 * getattr(a, n) for a in points]) for n in ("mean", "std"))
        colour = COLOURS[number % len(COLOURS)]
        dash: Any = DASHES[number // len(COLOURS) % len(DASHES)]
        axes.plot(shots, mean, "o", linestyle=dash, color=colour, markersize=4,
                  label=figure_text(_name(system, systems, n_always=2)))  # fmt: skip
        axes.fill_between(shots, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
    printed = sorted(_published(block[0]), key=_printed_system)
    for number, (system, figures) in enumerate(groupby(printed, _printed_system)):
        known = sorted(figures, key=lambda f: f.shots or 0)
        if len(known) > 1:
            dash = DASHES[1 + number % (len(DASHES) - 1)]
            label = figure_text(" ".join(filter(None, system)) + " (published)")
            axes.plot([f.shots or 0 for f in known], [100 * f.value for f in known], "s", color=INK,
                      markerfacecolor=PAPER, linestyle=dash, linewidth=1, markersize=4,
                      label=label)  # fmt: skip
    axes.set_xlabel("training images a class")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_domains(axes: Axes, block: Sequence[Aggregate], nets: Sequence[str]) -> None:
    ways = list(dict.fromkeys(head(a) for a in block if a.head != CHANCE))
    trained = list(dict.fromkeys(net.removesuffix(UNTRAINED) for net in nets if net != CHANCE))
    for number, net in enumerate(nets):
        line = [a for a in block if _net(a) == net]
        offset = 0.7 * (number + 0.5) / len(nets) - 0.35
        mean = np.array([100 * a.mean for a in line])
        ends = 100 * np.array([[a.ci95_low for a in line], [a.ci95_high for a in line]])
        if net == CHANCE:
            axes.axhline(mean[0], color=INK, linestyle=":", label=net)
            continue
        places = [ways.index(head(a)) + offset for a in line]
        colour = COLOURS[trained.index(net.removesuffix(UNTRAINED)) % len(COLOURS)]
        axes.errorbar(places, mean, np.abs(ends - mean), fmt="o", markersize=4, capsize=2,
                      color=colour, markerfacecolor=PAPER if net.endswith(UNTRAINED) else colour,
                      label=figure_text(net))  # fmt: skip
    heads = {a.head for a in block} - {CHANCE}
    same = f"{next(iter(heads))}, " if len(heads) == 1 else ""
    said = [figure_text(way.removeprefix(same)).replace(", ", "\n") for way in ways]
    axes.set_xticks(range(len(ways)), said)
    axes.grid(visible=False, axis="x")
    for place in range(1, len(ways)):
        axes.axvline(place - 0.5, color=INK, linewidth=0.3, alpha=0.4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{METRICS[block[0].metric].label}, %")


def _net(a: Aggregate) -> str:
    if a.backbone == PIXELS:
        return CHANCE if a.head == CHANCE else PIXELS
    return f"{a.backbone} {a.layer}" + (UNTRAINED if a.weights == RANDOM else "")


def _draw_layers(axes: Axes, block: Sequence[Aggregate]) -> None:
    layers = list(dict.fromkeys(a.layer for a in block))
    systems = list(dict.fromkeys(map(_layers_line, block)))
    for number, system in enumerate(systems):
        line = [a for a in block if _layers_line(a) == system]
        offset = 0.12 * (number - (len(systems) - 1) / 2)
        places = np.array([layers.index(a.layer) for a in line]) + offset
        colour = COLOURS[number % len(COLOURS)]
        std = [0.0 if np.isnan(a.std) else 100 * a.std for a in line]
        label = _name(system, systems, n_always=0)
        axes.errorbar(places, [100 * a.mean for a in line], std, fmt="o-", color=colour,
                      markersize=4, capsize=3, label=figure_text(label))  # fmt: skip
        printed = [(p, a.published) for p, a in zip(places, line, strict=True) if a.published]
        if printed:
            who = next(a.published_system for a in line if a.published)
            axes.plot([p for p, _ in printed], [100 * v for _, v in printed], "s", color=colour,
                      markerfacecolor=PAPER, markersize=5,
                      label=figure_text(f"{who} {system[-1]} (published)"))  # fmt: skip
    long = max(map(len, layers)) * len(layers) > 45
    axes.set_xticks(
        range(len(layers)),
        list(map(figure_text, layers)),
        rotation=40 if long else 0,
        ha="right" if long else "center",
    )
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.grid(visible=False, axis="x")
    if long:
        axes.tick_params(axis="x", labelsize=9)


def _domains(a: Aggregate) -> str:
    return f"{a.domains.replace(':', ' → ')}, " if a.domains else ""


def _settings(table: ResultTable) -> list[list[Aggregate]]:
    blocks: dict[tuple[str, ...], list[Aggregate]] = {}
    for a in table.aggregates():
        blocks.setdefault((a.dataset, a.domains, a.protocol, a.metric), []).append(a)
    return list(blocks.values())


def _one_shots(block: Sequence[Aggregate]) -> list[Aggregate]:
    """Return the results for the number of shots that most layers have."""
    sizes = {a.drawn: a.n_train for a in block}
    layers = {s: len({a.layer for a in block if a.drawn == s}) for s in sizes}
    most = max(layers, key=lambda s: (layers[s], sizes[s]))
    return [a for a in block if a.drawn == most]


def _shots_of(block: Sequence[Aggregate]) -> Counter[tuple[str, ...]]:
    """Return for how many numbers of shots each system has results."""
    return Counter(_system(a) for a in block if a.drawn != "all")


def _system(a: Aggregate) -> tuple[str, ...]:
    """Return what tells a line from others, the layer second and the head last."""
    trained = "" if a.weights in {RANDOM, "none"} else a.weights  # the head's name says the former
    made = (a.backbone, a.layer, trained, a.pool, a.view, a.normalize, a.settings)
    return (*made, _way(a))


def _layers_line(a: Aggregate) -> tuple[str, ...]:
    net, _, *others = _system(a)
    return (net, *others)


def _way(a: Aggregate) -> str:
    """Return the head, as it is called, and whether the net is an untrained one."""
    return head(a) + (UNTRAINED if a.weights == RANDOM else "")


def _name(system: tuple[str, ...], systems: Sequence[tuple[str, ...]], n_always: int) -> str:
    """Return a line's head after what varies among lines, and after its first `n_always` parts."""
    varying = [len({s[i] for s in systems} - {""}) > 1 for i in range(len(system) - 1)]
    told = [p for i, p in enumerate(system[:-1]) if varying[i] or (i < n_always and p != "none")]
    return " ".join(filter(None, dict.fromkeys([*told, system[-1]])))  # pixels are net and layer


def _published(a: Aggregate) -> list[PublishedFigure]:
    return [
        f
        for f in published_figures()
        if (f.dataset, f.protocol, f.metric) == (a.dataset, a.protocol, a.metric)
        and f.shots is not None
        and not f.category
    ]


def _printed_system(f: PublishedFigure) -> tuple[str, ...]:
    return (f.system, f.layer, f.head)


def _short(name: str, longest: int = 24) -> str:
    return figure_text(name if len(name) <= longest else f"{name[: longest - 1]}…")
