"""What a report says of one data set, net and protocol."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from decaf.analysis.paired import pairs_with_best
from decaf.datasets import ImageFiles
from decaf.errors import DataError
from decaf.metrics import METRICS
from decaf.published import VERIFIED, published_figures
from decaf.report.details import Details, best_row
from decaf.report.errors_list import ErrorList, list_errors
from decaf.report.figures import classes_figure, curve_figure, layers_figure, reliability_figure
from decaf.report.grid import CHANCE, PIXELS, UNVERIFIED, grids, mark_notes, ours, per_cent, setting
from decaf.report.matrix import confusion_figure
from decaf.report.page import (
    PageFigure,
    PageTable,
    grid_table,
    image,
    page_figure,
    plain_table,
)
from decaf.report.significance import differences
from decaf.report.telling import head, telling
from decaf.results import Aggregate, Result, ResultTable
from decaf.store import Provenance

MOST_CLASSES = 60
"""With more, a confusion matrix is too large for a page; `decaf plot confusion` draws it."""

_BOOTSTRAP = "95 % bootstrap interval"


@dataclass(frozen=True)
class Section:
    """A section of the page; see ``templates/report.html.j2`` for where each part goes."""

    name: str
    title: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    overview: PageTable | None
    tables: tuple[PageTable, ...]
    published: PageTable | None
    figures_title: str
    figures: tuple[PageFigure, ...]
    differences: PageTable | None
    class_figure: PageFigure | None
    class_table: PageTable | None
    confusions: PageTable | None
    matrix: PageFigure | None
    errors: ErrorList | None
    reliability: PageFigure | None
    timings: PageTable
    splits: PageTable


def sections(details: Details) -> list[Details]:
    """Return results in parts, one for each data set, protocol and metric."""
    tasks: dict[tuple[str, ...], list[Result]] = {}
    for result in details.table:
        task = (result.dataset, result.dataset_digest, result.domains)
        tasks.setdefault((*task, result.protocol, result.metric), []).append(result)
    return [replace(details, table=ResultTable(tuple(results))) for results in tasks.values()]


def section(
    details: Details, number: int, provenance: Provenance | None, files: ImageFiles | None
) -> Section:
    """Return a section of the page.

    Parameters
    ----------
    details : Details
        Results of one data set, protocol and metric.
    number : int
        Number of the section, from 1.
    provenance : decaf.store.Provenance or None
        Of the store that the features came from, where it is at hand.
    files : ImageFiles or None
        Folder of the images, where it is at hand.
    """
    table, name = details.table, f"s{number}"
    best = best_row(table)
    values, label = details.class_values(best), f"{METRICS[best.metric].label}, %"
    names = telling(table.results, lambda row: f"{head(row)} on {row.layer}")
    of_best = names[best.key] + ("" if best.drawn == "all" else f", {best.drawn} a class")
    figures = tuple(_figures(table, name))
    return Section(
        name=name,
        title=title(table),
        headline=_headline(best, of_best),
        facts=tuple(_facts(table, best, provenance)),
        overview=_overview(table, names),
        tables=tuple(grid_table(grid) for part in _parts(table) for grid in grids(part)),
        published=_published(best),
        figures_title="Layer by layer, and against the number of training images"
        if len(figures) > 1
        else "In figures",
        figures=figures,
        differences=_differences(details),
        class_figure=page_figure(
            classes_figure(values, label), f"{name}-classes", f"Best and worst classes: {of_best}."
        )
        if values
        else None,
        class_table=plain_table(
            f"Every class: {of_best}, {label}",
            ("class", "mean", "deviation"),
            [(v.name, per_cent(v.mean), per_cent(v.std)) for v in values],
            filter="Show classes with",
        )
        if values
        else None,
        confusions=_confusions(details, best, of_best, files),
        matrix=_matrix(details, best, of_best, name),
        errors=list_errors(details.errors(best), of_best, files),
        reliability=_reliability(details, best, of_best, name),
        timings=_timings(table, names),
        splits=_splits(table, names),
    )


def title(table: ResultTable) -> str:
    """Return what tells a section from others: data set, nets, protocol."""
    first = table.results[0]
    nets = dict.fromkeys(r.backbone for r in table if r.backbone != PIXELS)
    some = list(nets)[:3] + (["..."] if len(nets) > 3 else [])
    domains = first.domains.replace(":", " → ")
    told = (first.dataset, domains, ", ".join(some or [PIXELS]), f"protocol {first.protocol}")
    return " · ".join(filter(None, told))


def _overview(table: ResultTable, names: Mapping[str, str]) -> PageTable | None:
    """Return one table of all nets, layers and heads, the best first, if there are several nets."""
    rows = table.aggregates()
    if len({setting(row) for row in rows}) == 1:
        return None
    sizes = {a.drawn: a.n_train for a in rows}
    drawn = sorted(sizes, key=lambda one: sizes[one])
    lines: dict[str, dict[str, Aggregate]] = {}
    for row in rows:
        lines.setdefault(names[row.key], {})[row.drawn] = row
    label = METRICS[rows[0].metric].label
    return plain_table(
        f"All features and heads, the best first: {label}, %",
        ("features and head", *(label if one == "all" else f"{one} a class" for one in drawn)),
        [
            (name, *(ours(by[one]) if one in by else "" for one in drawn))
            for name, by in sorted(lines.items(), key=lambda one: -_highest(one[1].values()))
        ],
        notes=("± is one standard deviation over splits", *mark_notes(rows)),
    )


def _highest(rows: Iterable[Aggregate]) -> float:
    return max(row.mean for row in rows)


def _headline(best: Aggregate, of_best: str) -> str:
    spread = f" over {best.splits}"
    if best.boot_over:
        ends = _between(best.boot_low, best.boot_high)
        spread = f", one split, 95 % bootstrap interval {ends} over {best.boot_over}"
    return (
        f"Best: {per_cent(best.mean, best.std)} % {METRICS[best.metric].label}{spread} "
        f"({of_best}); {METRICS[best.other_metric].label} {per_cent(best.other_mean)} %."
    )


def _facts(
    table: ResultTable, best: Aggregate, provenance: Provenance | None
) -> list[tuple[str, str]]:
    first = table.results[0]

    def each(said: Callable[[Result], object]) -> str:
        return "; ".join(dict.fromkeys(str(said(r)) for r in table))

    facts = [
        ("data set", f"{first.dataset}{', partial' if best.partial else ''}"),
        ("classes", str(best.n_classes)),
        ("images to train and test", f"{best.n_train} and {best.n_test}"),
        ("net", each(lambda r: r.backbone)),
        ("weights", each(lambda r: f"{r.weights}, sha256 {r.weights_sha256[:16]}…")),
        ("layers", each(lambda r: r.layer)),
        ("view", each(lambda r: r.view)),
        ("pooling and normalisation", each(lambda r: f"{r.pool}, {r.normalize}")),
        ("protocol", first.protocol),
        ("splits and seeds", f"{best.splits}; {each(lambda r: r.seed)}"),
        ("device", each(lambda r: r.device or "not recorded")),
        ("time to choose C and fit", f"{sum(r.seconds_fit for r in table):.1f} s"),
        ("feature store", each(lambda r: f"{r.digest[:16]}…")),
        ("decaf", each(lambda r: r.decaf_version)),
    ]
    if provenance is not None:
        versions = ", ".join(f"{name} {v}" for name, v in provenance.versions.items())
        facts += [
            ("net's precision, stored as", f"{provenance.precision}, {provenance.dtype}"),
            ("data set's digest", f"{provenance.dataset_digest[:16]}…"),
            ("versions", versions),
        ]
    return facts


def _parts(table: ResultTable) -> list[ResultTable]:
    """Return the results for one number of shots, then the learning curves."""
    sizes = {r.drawn: r.n_train for r in table}
    layers = {s: len({(r.layer, r.head) for r in table if r.drawn == s}) for s in sizes}
    most = max(layers, key=lambda s: (layers[s], sizes[s]))
    curves = {(r.layer, r.head) for r in table if r.drawn != most}
    main = ResultTable(tuple(r for r in table if r.drawn == most))
    several = [r for r in table if (r.layer, r.head) in curves]
    curve = ResultTable(tuple(sorted(several, key=lambda r: r.n_train)))
    return [main, curve] if curve.results else [main]


def _figures(table: ResultTable, name: str) -> list[PageFigure]:
    captions = {
        "layers": (layers_figure, "Accuracy layer by layer; bars are one standard deviation."),
        "curve": (
            curve_figure,
            (
                "Accuracy against training images a class; bands are one standard deviation over "
                "splits, hollow squares are published."
            ),
        ),
    }
    figures = []
    for what, (draw, caption) in captions.items():
        try:
            figures.append(page_figure(draw(table), f"{name}-{what}", caption))
        except DataError:  # the results have no such comparison
            continue
    return figures


def _published(best: Aggregate) -> PageTable | None:
    found = [
        f
        for f in published_figures()
        if (f.dataset, f.protocol, f.metric) == (best.dataset, best.protocol, best.metric)
        and f.shots in {best.shots, None}
        and not f.category
    ]
    rows = [
        (
            f.system,
            ("" if f.verified in VERIFIED else f"{UNVERIFIED} ") + per_cent(f.value, f.deviation),
            f.layer or "–",
            f.head or "–",
            f.source,
        )
        for f in sorted(found, key=lambda f: -f.value)
    ]
    shots = f", {best.shots} a class" if best.shots else ""
    return (
        plain_table(
            f"{METRICS[best.metric].label}{shots}, %",
            ("system", "published", "layer", "head", "source"),
            rows,
            words=frozenset({"layer", "head", "source"}),
        )
        if rows
        else None
    )


def _differences(details: Details) -> PageTable | None:
    rows = ResultTable(tuple(r for r in details.table if r.head != CHANCE))
    try:
        pairs_with_best(rows)
    except DataError:  # one row, so nothing to compare
        return None
    return grid_table(differences(rows, details.paths))


def _confusions(
    details: Details, best: Aggregate, of_best: str, files: ImageFiles | None
) -> PageTable | None:
    pairs = details.confused_pairs(best)
    rows = [
        (
            pair.name,
            pair.predicted,
            image(files, pair.example, f"{pair.example}, taken for {pair.predicted}"),
            pair.n,
            per_cent(pair.share),
        )
        for pair in pairs
    ]
    columns = ("class", "taken for", "one of them", "times", "% of the class")
    return (
        plain_table(
            f"The {len(rows)} most frequent mistakes of {of_best}, over all splits",
            columns,
            rows,
            words=frozenset({"taken for", "one of them"}),
        )
        if rows
        else None
    )


def _matrix(details: Details, best: Aggregate, of_best: str, name: str) -> PageFigure | None:
    names, counts = details.confusion_matrix(best)
    if not names or len(names) > MOST_CLASSES:
        return None
    caption = f"Which class {of_best} takes for which, over all splits; a row is a class."
    return page_figure(confusion_figure(names, counts), f"{name}-confusion", caption)


def _reliability(details: Details, best: Aggregate, of_best: str, name: str) -> PageFigure | None:
    found = details.reliability(best)
    if found is None:
        return None
    caption = f"How often {of_best} is right, by how sure it is, over all splits."
    return page_figure(reliability_figure(found), f"{name}-reliability", caption)


def _timings(table: ResultTable, names: Mapping[str, str]) -> PageTable:
    rows = [
        (
            names[a.key],
            a.drawn,
            a.splits.removesuffix(" splits").removesuffix(" split"),
            "–" if a.C is None else f"{a.C:g}",
            f"{a.seconds_fit:.2f}",
            f"{a.seconds_fit / a.n_splits:.2f}",
        )
        for a in table.aggregates()
    ]
    columns = ("features and head", "a class", "splits", "median C", "seconds", "seconds a split")
    return plain_table("Choice of C and fit", columns, rows)


def _splits(table: ResultTable, names: Mapping[str, str]) -> PageTable:
    def line(r: Result) -> Sequence[object]:
        chosen = "–" if r.C is None else f"{r.C:g}"
        row = (names[r.key], r.drawn, r.split, r.seed, chosen, per_cent(r.value))
        return (
            *row,
            per_cent(r.other_value),
            _between(r.boot_low, r.boot_high),
            "yes" if r.converged else "NO",
            f"{r.seconds_fit:.2f}",
        )

    first = table.results[0]
    metrics = METRICS[first.metric].label, METRICS[first.other_metric].label
    columns = ("features and head", "a class", "split", "seed", "C", *metrics, _BOOTSTRAP)
    more = ("converged", "seconds")
    return plain_table("Every split", (*columns, *more), [line(r) for r in table])


def _between(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{per_cent(low)} to {per_cent(high)}"
