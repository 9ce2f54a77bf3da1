"""What a result says: one row per split, and one over splits; and what identifies it."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from statistics import median_low
from typing import Any

from decaf.metrics import summary
from decaf.published import lookup


class Drawn:
    """How many images of each class train, in words."""

    shots: int | None
    train_share: float | None

    @property
    def drawn(self) -> str:
        """``all``, ``30``, or ``5 %`` of each class's training images."""
        if self.train_share is not None:
            return f"{100 * self.train_share:g} %"
        return "all" if self.shots is None else str(self.shots)


@dataclass(frozen=True)
class Result(Drawn):
    """How one head did on one split.

    Attributes
    ----------
    dataset, backbone, weights, weights_sha256, layer, head : str
        What was evaluated.
    C : float or None
        The chosen C; None for a head without one.
    protocol : str
        Name of the protocol.
    shots : int or None
        Training images a class, where fixed.
    split, seed : int
        Number of the split, from 0, and the seed that drew it.
    metric, other_metric : str
        Names of the headline metric and of the one beside it.
    value, other_value : float
        Their values, as fractions.
    n_classes, n_train, n_test : int
        Classes tested, training rows and test rows.
    seconds_fit : float
        Seconds for choosing C and fitting.
    converged : bool
        Whether the final fit reached its tolerance.
    c_at_edge : bool
        Whether C is the smallest or largest of several values.
    partial : bool
        Whether images of the published data set are missing.
    normalize, pool, view : str
        What was done to the features, to the layer's map, and to the images.
    digest, decaf_version : str
        Digest of the feature store, and the version that wrote this.
    objective, gradient_norm : float or None
        Of the final fit, where the head has them.
    notes : tuple of str
        Where the run departs from the published protocol; without ``" | "`` inside.
    device : str
        What the net and the head ran on.
    dataset_digest : str
        Digest of the data set's table and of the content of its image files.
    settings : str
        Where the rule departs from the protocol as it stands: ``c_grid=1; n_splits=2``.
    head_settings : str
        Where the head departs from its default: the recipe of fine-tuning.
    of_splits : int
        How many splits the run asks for; 0 where that is not known.
    domains, train_on, adapt : str
        Of a protocol of domains, ``source:target``, what it trains on, and how features are
        adapted; else empty, empty and ``"none"``.
    split_digest, test_digest : str
        Digests of the split's rows and labels, and of its test rows alone.
    train_share : float or None
        Share of each class's training images that trains, where it is fixed.
    boot_low, boot_high : float or None
        95 % bootstrap interval of `value` over test rows, the head as it is.
    boot_over : str
        What was drawn again for it: ``1200 images``, ``57 groups``.
    more : tuple of (str, float)
        Metrics that were asked for beside, and their values.
    per_class : tuple of (str, str, float)
        Metric, class and value for single classes; not read back from files.
    confusion : tuple of (str, str, int, str)
        Class, predicted class, number of test rows, and the image of one of them; empty where
        images have several labels; not read back from files.
    """

    dataset: str
    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    head: str
    C: float | None
    protocol: str
    shots: int | None
    split: int
    seed: int
    metric: str
    value: float
    other_metric: str
    other_value: float
    n_classes: int
    n_train: int
    n_test: int
    seconds_fit: float
    converged: bool
    c_at_edge: bool
    partial: bool
    normalize: str
    pool: str
    view: str
    digest: str
    decaf_version: str
    objective: float | None = None
    gradient_norm: float | None = None
    notes: tuple[str, ...] = ()
    device: str = ""
    dataset_digest: str = ""
    settings: str = ""
    head_settings: str = ""
    of_splits: int = 0
    domains: str = ""
    train_on: str = ""
    adapt: str = "none"
    split_digest: str = ""
    test_digest: str = ""
    train_share: float | None = None
    boot_low: float | None = None
    boot_high: float | None = None
    boot_over: str = ""
    more: tuple[tuple[str, float], ...] = ()
    per_class: tuple[tuple[str, str, float], ...] = ()
    confusion: tuple[tuple[str, str, int, str], ...] = ()

    @property
    def key(self) -> str:
        """What identifies the row of a table that this split belongs to."""
        return key_of(vars(self))


OWN_FILES = ("per_class", "confusion")
"""Fields of a result that are written to files of their own."""

OWN_COLUMNS = (*OWN_FILES, "more")
"""Fields that are no column of the files of results."""

IDENTITY = (
    *("dataset", "dataset_digest", "partial", "backbone", "weights", "weights_sha256"),
    *("layer", "pool", "view", "normalize", "digest", "head", "head_settings"),
    *("protocol", "settings", "shots", "train_share", "metric"),
)
"""Fields that the splits of one row have in common, and no two rows."""


_OF_DOMAINS = ("domains", "train_on", "adapt")
"""Fields that belong to them where a result is of two domains."""


def key_of(values: Mapping[str, Any]) -> str:
    """Return a short digest of the fields in `IDENTITY`, and of those of domains if it has some."""
    names = (*IDENTITY, *_OF_DOMAINS) if values["domains"] else IDENTITY
    text = json.dumps([values[name] for name in names])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Aggregate(Drawn):
    """Results of one head on one layer, over splits; the fields are the CSV file's columns.

    Attributes
    ----------
    C : float or None
        The (lower) median of the splits' values.
    mean, std, ci95_low, ci95_high : float
        As :func:`decaf.metrics.summary` gives them.
    n_train, n_test : int
        The (lower) median of the splits' numbers of rows.
    seconds_fit : float
        Sum over splits.
    converged : bool
        Whether every split's fit converged.
    c_at_edge : bool
        Whether any split's C is at the edge of its grid.
    published, published_deviation : float or None
        The published figure of the same cell, if there is one, and its printed deviation.
    key : str
        What identifies the row; the files of single classes name it by that.
    boot_low, boot_high : float or None
        Of a single split, the 95 % bootstrap interval over its test rows; None for several.
    boot_over : str
        What was drawn again for it; empty for several splits.
    more : tuple of (str, float, float)
        Metrics that every split has beside, their means and deviations.
    """

    dataset: str
    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    head: str
    C: float | None
    protocol: str
    shots: int | None
    n_splits: int
    metric: str
    mean: float
    std: float
    ci95_low: float
    ci95_high: float
    n_train: int
    n_test: int
    seconds_fit: float
    converged: bool
    published: float | None
    published_source: str
    digest: str
    decaf_version: str
    published_deviation: float | None
    published_system: str
    published_verified: str
    published_note: str
    other_metric: str
    other_mean: float
    other_std: float
    n_classes: int
    c_at_edge: bool
    partial: bool
    normalize: str
    pool: str
    view: str
    notes: tuple[str, ...]
    dataset_digest: str
    settings: str
    head_settings: str
    of_splits: int
    domains: str
    train_on: str
    adapt: str
    key: str
    train_share: float | None
    boot_low: float | None
    boot_high: float | None
    boot_over: str
    more: tuple[tuple[str, float, float], ...]

    @property
    def finished(self) -> bool:
        """Whether all the splits that the run asks for are there."""
        return self.n_splits >= self.of_splits

    @property
    def splits(self) -> str:
        """How many splits, in words: ``5 splits``, ``2 of 5 splits``."""
        if not self.finished:
            return f"{self.n_splits} of {self.of_splits} splits"
        return f"{self.n_splits} split{'s' if self.n_splits > 1 else ''}"


def aggregate(group: list[Result]) -> Aggregate:
    """Return what the splits of one row say together."""
    first = group[0]
    over, other = summary([r.value for r in group]), summary([r.other_value for r in group])
    published = (
        None
        if first.train_share is not None
        else lookup(
            dataset=first.dataset,
            protocol=first.protocol,
            backbone=first.backbone,
            layer=first.layer,
            pool=first.pool,
            head=first.head,
            shots=first.shots,
            metric=first.metric,
        )
    )
    chosen = [r.C for r in group if r.C is not None]
    over_splits: dict[str, Any] = {
        "C": median_low(chosen) if chosen else None,
        "n_splits": over.n,
        "mean": over.mean,
        "std": over.std,
        "ci95_low": over.ci95_low,
        "ci95_high": over.ci95_high,
        "n_train": median_low(r.n_train for r in group),
        "n_test": median_low(r.n_test for r in group),
        "seconds_fit": math.fsum(r.seconds_fit for r in group),
        "converged": all(r.converged for r in group),
        "c_at_edge": any(r.c_at_edge for r in group),
        "of_splits": max(r.of_splits for r in group),
        "published": published.value if published else None,
        "published_source": published.source if published else "",
        "published_deviation": published.deviation if published else None,
        "published_system": published.system if published else "",
        "published_verified": published.verified if published else "",
        "published_note": published.note if published else "",
        "other_mean": other.mean,
        "other_std": other.std,
        "more": tuple(_more(group)),
    }
    if len(group) > 1:
        over_splits |= {"boot_low": None, "boot_high": None, "boot_over": ""}
    shared = [f.name for f in fields(Aggregate) if f.name not in over_splits]
    return Aggregate(**{name: getattr(first, name) for name in shared}, **over_splits)


def _more(group: list[Result]) -> Iterator[tuple[str, float, float]]:
    """Yield mean and deviation of each metric that all splits of a row have."""
    values = [dict(r.more) for r in group]
    for name in values[0]:
        if all(name in one for one in values):
            over = summary([one[name] for one in values])
            yield name, over.mean, over.std
