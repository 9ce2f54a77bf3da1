"""Features to results: `evaluate` trains heads under a protocol and returns a table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from decaf._version import __version__
from decaf.backbones import TorchBackbone, load_backbone
from decaf.datasets import load_dataset
from decaf.errors import ConfigError
from decaf.extraction import extract, make_plan
from decaf.heads import HEADS, FittedSplit, fit_splits
from decaf.images.decode import Pixels
from decaf.metrics import METRICS
from decaf.progress import show_progress
from decaf.protocols import (
    Normalize,
    PublishedProtocol,
    default_protocol,
    get_protocol,
    published_protocol_differences,
)
from decaf.results import Result, ResultTable
from decaf.store import FeatureStore
from decaf.types import FloatArray, ImageDataset, Split


def evaluate(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layers: str | Sequence[str] | None = None,
    pool: str = "none",
    views: str | None = None,
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
        The protocol's own if not given.
    heads : str or sequence of str
        Among ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout``, ``knn``.
    protocol : str, optional
        Name of a protocol; the data set's default if not given.
    train_per_class : str, int or sequence of int, optional
        Training pictures a class; several values make a learning curve.
    splits : int, optional
        Number of splits; the protocol's if not given.
    normalize : str, optional
        ``none``, ``l2`` or ``standard``; the protocol's if not given.
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
    )
    net = (
        load_backbone(backbone, weights=weights, device=device, precision=precision, seed=seed)
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
        with show_progress("training", total, "splits", quiet=self.quiet) as advance:
            for layer in layers:
                X = self._features(layer, rules[0].normalize)
                for head in heads:
                    for rule, splits in drawn:
                        fitted = self._fit(X, head, rule, splits)
                        for number, (split, fit) in enumerate(zip(splits, fitted, strict=True)):
                            yield self._result(
                                X,
                                layer=layer,
                                head=head,
                                rule=rule,
                                number=number,
                                split=split,
                                fit=fit,
                            )
                            advance(1)

    def _features(self, layer: str, normalize: Normalize) -> FloatArray:
        X: FloatArray = np.asarray(self.store[layer][:], dtype=np.float32)
        if X.ndim == 3:
            X = X.mean(axis=1)
        if normalize == "l2":
            X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), np.finfo(X.dtype).tiny)
        return X

    def _fit(
        self, X: FloatArray, head: str, rule: PublishedProtocol, splits: Sequence[Split]
    ) -> Iterator[FittedSplit]:
        c_grid, fixed_c = rule.c_values(X, splits[0].train)
        c_grid, fixed_c = rule.c_values(X, splits[0].train)
        return fit_splits(
            HEADS[head](device=self.device),
            X,
            self.table.labels,
            splits,
            c_grid=c_grid,
            fixed_c=fixed_c,
            score=METRICS[rule.metric].score,
            standardize=rule.normalize == "standard",
        )

    def _result(
        self,
        X: FloatArray,
        *,
        layer: str,
        head: str,
        rule: PublishedProtocol,
        number: int,
        split: Split,
        fit: FittedSplit,
    ) -> Result:
        metric = METRICS[rule.metric]
        labels, classes = self.table.labels[split.test], fit.head.classes_
        scores = fit.decision_function(X[split.test])
        n_left_out = int(len(self.table.image_ids) - np.count_nonzero(self.store.done))
        per_class = metric.per_class(labels, scores, classes, len(self.table.class_names))
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
            view=rule.view,
            digest=self.store.digest,
            decaf_version=__version__,
            objective=fit.objective,
            gradient_norm=fit.gradient_norm,
            notes=tuple(published_protocol_differences(rule, self.table, n_left_out)),
            per_class=tuple(
                (metric.name, name, float(value))
                for name, value in zip(self.table.class_names, per_class, strict=True)
                if not np.isnan(value)
            ),
        )


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
