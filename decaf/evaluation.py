"""Features to results: `evaluate` trains heads under a protocol and returns a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from decaf._version import __version__
from decaf.analysis.duplicates import in_both
from decaf.backbones import TorchBackbone, load_backbone
from decaf.datasets import load_dataset
from decaf.errors import ConfigError
from decaf.extraction import extract, make_plan
from decaf.heads import HEADS, FittedSplit, fit_splits
from decaf.images.decode import Pixels
from decaf.metrics import METRICS, Metric, confusion, predicted_classes
from decaf.progress import log, show_progress
from decaf.protocols import (
    Box,
    Normalize,
    PublishedProtocol,
    ViewFeatures,
    default_protocol,
    get_protocol,
    published_protocol_differences,
    view_features,
)
from decaf.results import Result, ResultTable
from decaf.store import FeatureStore
from decaf.types import FloatArray, ImageDataset, IntArray, Split


def evaluate(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layers: str | Sequence[str] | None = None,
    pool: str = "none",
    views: str | None = None,
    box: Box | None = None,
    box_scale: float | None = None,
    drop_classes: str | Sequence[str] | None = None,
    heads: str | Sequence[str] = "svm",
    protocol: str | None = None,
    train_per_class: str | int | Sequence[int] | None = None,
    splits: int | None = None,
    normalize: Normalize | None = None,
    c_grid: str | Sequence[float] | None = None,
    out: str | Path | None = None,
    features: str | Path = "features",
    device: str = "auto",
    precision: str = "fp32",
    dtype: str = "float32",
    pixels: Pixels = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    data_root: str | Path = "data",
    allow_partial: bool = False,
    max_failures: float = 0.05,
    seed: int = 0,
    allow_code: bool = False,
    quiet: bool = False,
) -> ResultTable:
    """Train heads on stored features under an evaluation protocol.

    The matching store is found by its digest; where there is none it is extracted. C is chosen
    inside each split's training rows, the head is refitted on all of them, and the test rows
    are scored once.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, a CSV manifest, or a table.
    backbone, weights, layers, pool
        The net and what is taken from it; see `decaf.extract`.
    views : str, optional
        The protocol's own if not given; see `decaf.extract`.
    box, box_scale : str and float, optional
        The same.
    drop_classes : str or sequence of str, optional
        Classes to leave out, such as Caltech-256's ``257.clutter``; the protocol's if not given.
    heads : str or sequence of str
        Among ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout``, ``knn``.
    protocol : str, optional
        Name of a protocol; the data set's default if not given.
    train_per_class : str, int or sequence of int, optional
        Training pictures a class; several values make a learning curve.
    splits : int, optional
        Number of splits; the protocol's if not given.
    normalize : str, optional
        ``none``, ``l2``, ``standard`` or ``signed-square``; the protocol's if not given.
    c_grid : str or sequence of float, optional
        Values of C to choose from; the protocol's if not given.
    out : str or pathlib.Path, optional
        CSV file of the results; ``results/<dataset>.csv`` if not given.
    features : str or pathlib.Path
        A store (``.h5``), or the folder of stores.
    device, precision, dtype, pixels, batch_size, workers, limit, data_root, allow_partial, \
max_failures
        How features are extracted; see `decaf.extract`. `device` also trains the heads.
    seed : int
        Seed of the splits and of random weights.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    quiet : bool
        Print no progress.

    Returns
    -------
    ResultTable
        One row per layer, head, number of shots and split; also written to `out`, with the
        splits beside it.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the data set is missing or malformed, or a class has too few pictures.
    BackboneError
        If the net, its weights or a layer is not usable.
    StoreError
        If the store cannot be read or written.
    """
    names = _words(heads)
    _check_heads(names)
    table = (
        dataset
        if isinstance(dataset, ImageDataset)
        else load_dataset(dataset, Path(data_root), allow_partial=allow_partial, limit=limit)
    )
    rules = _rules(
        table,
        protocol or default_protocol(table).name,
        train_per_class,
        n_splits=splits,
        seed=seed,
        normalize=normalize,
        c_grid=None if c_grid is None else _numbers(c_grid, "c_grid"),
        view=views,
        box=box,
        box_scale=box_scale,
        drop_classes=None if drop_classes is None else _words(drop_classes),
    )
    net = (
        load_backbone(
            backbone,
            weights=weights,
            device=device,
            precision=precision,
            seed=seed,
            allow_code=allow_code,
        )
        if isinstance(backbone, str)
        else backbone
    )
    chosen = make_plan(table, net, layers=layers).layers
    path = extract(
        table,
        backbone=net,
        layers=chosen,
        pool=pool,
        views=rules[0].view,
        box=rules[0].box,
        box_scale=rules[0].box_scale,
        out=features,
        dtype=dtype,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
        quiet=quiet,
    )
    with FeatureStore(path) as store:
        run = _Run(table, net, store, pool, device, quiet)
        results = ResultTable(tuple(run.results(chosen, names, rules)))
    results.to_csv(csv_path(table.name, out))
    return results


def csv_path(dataset_name: str, out: str | Path | None = None) -> Path:
    """Return where the results of a data set are written."""
    return Path("results") / f"{dataset_name}.csv" if out is None else Path(out)


@dataclass(frozen=True)
class _Run:
    """What all results of one evaluation share."""

    table: ImageDataset
    net: TorchBackbone
    store: FeatureStore
    pool: str
    device: str
    quiet: bool

    def results(
        self, layers: Sequence[str], heads: Sequence[str], rules: Sequence[PublishedProtocol]
    ) -> Iterator[Result]:
        """Yield the results of every layer, head, number of shots and split."""
        total = len(layers) * len(heads) * sum(rule.n_splits for rule in rules)
        usable = np.asarray(self.store.done, dtype=np.bool_)
        drawn = [(rule, list(rule.splits(self.table, usable))) for rule in rules]
        leaks = self._leaks([split for _, splits in drawn for split in splits])
        with show_progress("training", total, "splits", quiet=self.quiet) as advance:
            for layer in layers:
                features = view_features(self.store[layer][:], rules[0])
                for head in heads:
                    for rule, splits in drawn:
                        fitted = self._fit(features, head, rule, splits)
                        for number, (split, fit) in enumerate(zip(splits, fitted, strict=True)):
                            yield self._result(
                                features,
                                layer=layer,
                                head=head,
                                rule=rule,
                                number=number,
                                split=split,
                                fit=fit,
                                leaks=leaks,
                            )
                            advance(1)

    def _leaks(self, splits: Sequence[Split]) -> tuple[str, ...]:
        """Say where files that train are tested on too, on stderr and for the results' notes."""
        digests = self.store.image_sha256
        leaked = [(in_both(digests, split.train, split.test), split) for split in splits]
        worst, split = max(leaked, key=lambda one: len(one[0]))
        if not len(worst):
            return ()
        said = f"{len(worst)} of {len(split.test)} test pictures also stand in training"
        example = self.table.image_ids[worst[0]]
        log(
            f"{self.table.name}: {said}, as the same file, such as {example}; `decaf inspect "
            f"{self.store.path}` lists them"
        )
        return (said,)

    def _fit(
        self, features: ViewFeatures, head: str, rule: PublishedProtocol, splits: Sequence[Split]
    ) -> Iterator[FittedSplit]:
        """Yield the fitted head of each split."""
        estimator = _estimator(head, rule, self.device)
        rows = features.training_split(splits[0]).train
        c_grid, fixed_c = rule.c_values(features.train, rows)
        for split in splits:
            labels = self.table.labels
            if split.labels is not None:
                labels = labels.copy()
                labels[split.train] = split.labels
            fit = partial(
                fit_splits,
                estimator,
                features.train,
                features.labels(labels),
                [features.training_split(split)],
                c_grid=c_grid,
                score=features.validation_score(METRICS[rule.metric].score),
                standardize=rule.normalize == "standard",
            )
            if rule.selection.kind != "test":
                yield from fit(fixed_c=fixed_c)
                continue
            tried = [one for C in c_grid for one in fit(fixed_c=C)]
            yield max(tried, key=lambda one: self._test_value(features, rule, split, one))

    def _test_value(
        self, features: ViewFeatures, rule: PublishedProtocol, split: Split, fit: FittedSplit
    ) -> float:
        scores = features.test_scores(fit.decision_function, split.test)
        labels = self.table.labels[split.test]
        return METRICS[rule.metric].score(labels, scores, fit.head.classes_)

    def _result(
        self,
        features: ViewFeatures,
        *,
        layer: str,
        head: str,
        rule: PublishedProtocol,
        number: int,
        split: Split,
        fit: FittedSplit,
        leaks: tuple[str, ...],
    ) -> Result:
        metric = METRICS[rule.metric]
        labels, classes = self.table.labels[split.test], fit.head.classes_
        scores = features.test_scores(fit.decision_function, split.test)
        n_left_out = int(len(self.table.image_ids) - np.count_nonzero(self.store.done))
        return Result(
            dataset=self.table.name,
            backbone=self.net.name,
            weights=self.net.weights,
            weights_sha256=self.net.weights_sha256,
            layer=layer,
            head=head,
            C=fit.C,
            protocol=rule.name,
            shots=split.shots,
            split=number,
            seed=split.seed,
            metric=metric.name,
            value=metric.score(labels, scores, classes),
            other_metric=metric.other,
            other_value=METRICS[metric.other].score(labels, scores, classes),
            n_classes=len(classes),
            n_train=len(split.train),
            n_test=len(split.test),
            seconds_fit=fit.seconds,
            converged=fit.converged,
            c_at_edge=fit.c_at_edge,
            partial=self.table.partial,
            normalize=rule.normalize,
            pool=self.pool,
            view=" + ".join(self.store.provenance.views),
            digest=self.store.digest,
            decaf_version=__version__,
            objective=fit.objective,
            gradient_norm=fit.gradient_norm,
            notes=(*published_protocol_differences(rule, self.table, n_left_out), *leaks),
            device=str(self.net.device),
            confusion=tuple(_confusion(labels, scores, classes, self.table, split.test)),
            per_class=tuple(_per_class(metric, labels, scores, classes, self.table.class_names)),
        )


def _estimator(head: str, rule: PublishedProtocol, device: str) -> Any:
    """Return the unfitted head, with the protocol's weight of positives."""
    estimator = HEADS[head](device=device)
    if rule.positive_weight == 1:
        return estimator
    if "class_weight" not in estimator.get_params():
        raise ConfigError(
            f"protocol {rule.name} weighs positives, which head {head} cannot; choose svm or logreg"
        )
    return estimator.set_params(class_weight={1: rule.positive_weight, -1: 1.0})


def _per_class(
    metric: Metric,
    labels: IntArray,
    scores: FloatArray,
    classes: IntArray,
    class_names: Sequence[str],
) -> Iterator[tuple[str, str, float]]:
    """Yield the values of single classes, in both metrics where these differ for a class."""
    other = METRICS[metric.other]
    for one in (metric,) if other.per_class is metric.per_class else (metric, other):
        values = one.per_class(labels, scores, classes, len(class_names))
        for name, value in zip(class_names, values, strict=True):
            if not np.isnan(value):
                yield one.name, name, float(value)


def _confusion(
    labels: IntArray, scores: FloatArray, classes: IntArray, table: ImageDataset, rows: IntArray
) -> Iterator[tuple[str, str, int, str]]:
    """Yield how often each class was taken for each, where a picture has one label."""
    if labels.ndim == 2:
        return
    for label, predicted, count, first in confusion(labels, predicted_classes(scores, classes)):
        names = table.class_names[label], table.class_names[predicted]
        yield *names, count, table.image_ids[rows[first]]


def _words(value: str | Sequence[str]) -> list[str]:
    words = value.split(",") if isinstance(value, str) else value
    return list(dict.fromkeys(word.strip() for word in words))


def _numbers(value: str | float | Sequence[float], what: str) -> list[float]:
    if isinstance(value, int | float):
        return [value]
    try:
        return [float(word) for word in (value.split(",") if isinstance(value, str) else value)]
    except ValueError as error:
        raise ConfigError(f"{what} takes numbers separated by commas, found {value!r}") from error


def _check_heads(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in HEADS]
    if unknown or not names:
        raise ConfigError(
            f"unknown head {(unknown or [''])[0]!r}; choose one of: {', '.join(HEADS)}"
        )


def _rules(
    table: ImageDataset,
    protocol: str,
    train_per_class: str | int | Sequence[int] | None,
    **replacements: Any,
) -> list[PublishedProtocol]:
    """Return the protocol as asked, once for each number of training pictures a class."""
    if train_per_class is None:
        return [get_protocol(protocol, table, **replacements)]
    shots = _numbers(train_per_class, "train_per_class")
    if any(number != int(number) for number in shots):
        raise ConfigError(f"train_per_class takes whole numbers, found {train_per_class!r}")
    return [
        get_protocol(protocol, table, train_per_class=int(number), **replacements)
        for number in shots
    ]
