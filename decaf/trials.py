"""Heads under a protocol, split by split: what an evaluation does once features are stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf._version import __version__
from decaf.analysis.duplicates import in_both
from decaf.backbones import TorchBackbone
from decaf.errors import ConfigError
from decaf.finetuning import FINETUNE, FineTuning, Frozen, row_numbers
from decaf.heads import HEADS, FittedSplit, fit_splits
from decaf.metrics import METRICS, Metric, confusion, predicted_classes
from decaf.pictures import StoredPictures
from decaf.progress import log, show_progress
from decaf.protocols import (
    PatchFeatures,
    PublishedProtocol,
    ViewFeatures,
    published_protocol_differences,
)
from decaf.results import Result
from decaf.store import FeatureStore
from decaf.types import FloatArray, ImageDataset, IntArray, Split


@dataclass(frozen=True)
class Trials:
    """Heads on the stored features of one data set and net.

    Attributes
    ----------
    table : ImageDataset
        The data set.
    net : TorchBackbone
        What the features were extracted with.
    store : FeatureStore
        An open store.
    pool : str
        How maps became vectors.
    device : str
        Where heads are trained.
    quiet : bool
        Print no progress.
    tunings : mapping of str to FineTuning
        For the head ``finetune``, how each layer's net is fine-tuned.
    """

    table: ImageDataset
    net: TorchBackbone
    store: FeatureStore
    pool: str
    device: str
    quiet: bool
    tunings: Mapping[str, FineTuning] = field(default_factory=dict)

    def results(
        self, layers: Sequence[str], heads: Sequence[str], rules: Sequence[PublishedProtocol]
    ) -> Iterator[Result]:
        """Yield the results of every layer, head, number of shots and split."""
        total = len(layers) * len(heads) * sum(rule.n_splits for rule in rules)
        pictures = StoredPictures(self.table, self.store, rules[0])
        drawn = [(rule, list(rule.splits(self.table, pictures.done))) for rule in rules]
        n_left_out = int(np.count_nonzero(~pictures.done))
        leaks = self._leaks(
            pictures.image_sha256, [split for _, splits in drawn for split in splits]
        )
        with show_progress("training", total, "splits", quiet=self.quiet) as advance:
            for layer in layers:
                whole = pictures.features(layer)
                for head in heads:
                    features = row_numbers(whole) if head == FINETUNE else whole
                    for rule, splits in drawn:
                        if head == FINETUNE:
                            fitted = self._fine_tune(features, layer, rule, splits)
                        else:
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
                                n_left_out=n_left_out,
                                leaks=leaks,
                            )
                            advance(1)

    def _leaks(self, digests: npt.NDArray[np.uint8], splits: Sequence[Split]) -> tuple[str, ...]:
        """Say where files that train are tested on too, on stderr and for the results' notes."""
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
        self,
        features: ViewFeatures | PatchFeatures,
        head: str,
        rule: PublishedProtocol,
        splits: Sequence[Split],
    ) -> Iterator[FittedSplit]:
        """Yield the fitted head of each split."""
        estimator = _estimator(head, rule, self.device)
        if "checkpoint" in estimator.get_params():
            estimator.set_params(checkpoint=str(self.store.path.parent))
        rows = features.training_split(splits[0]).train
        c_grid, fixed_c = rule.c_values(features.train, rows)
        for number, split in enumerate(splits):
            if "random_state" in estimator.get_params():
                estimator.set_params(random_state=rule.training_seed(number))
            fit = partial(
                fit_splits,
                estimator,
                features.train,
                features.labels(_labels(self.table, split)),
                [features.training_split(split)],
                c_grid=c_grid,
                score=features.validation_score(METRICS[rule.metric].score),
                standardize=rule.normalize == "standard",
                class_names=self.table.class_names,
            )
            if rule.selection.kind != "test":
                yield from fit(fixed_c=fixed_c)
                continue
            tried = [one for C in c_grid for one in fit(fixed_c=C)]
            yield max(tried, key=lambda one: self._test_value(features, rule, split, one))

    def _fine_tune(
        self,
        features: ViewFeatures | PatchFeatures,
        layer: str,
        rule: PublishedProtocol,
        splits: Sequence[Split],
    ) -> Iterator[FittedSplit]:
        """Yield the net and head that are fine-tuned on each split."""
        tuning = self.tunings[layer]
        frozen = Frozen(
            features.train,
            rule.normalize,
            *rule.c_values(features.train, splits[0].train),
            METRICS[rule.metric].score,
            self.device,
        )
        for number, split in enumerate(splits):
            seeded = replace(split, seed=rule.training_seed(number))
            yield tuning.fit(seeded, _labels(self.table, split), frozen).as_fitted_split()

    def _test_value(
        self,
        features: ViewFeatures | PatchFeatures,
        rule: PublishedProtocol,
        split: Split,
        fit: FittedSplit,
    ) -> float:
        scores = features.test_scores(fit.decision_function, split.test, fit.head.classes_)
        labels = self.table.labels[split.test]
        return METRICS[rule.metric].score(labels, scores, features.classes(fit.head.classes_))

    def _result(
        self,
        features: ViewFeatures | PatchFeatures,
        *,
        layer: str,
        head: str,
        rule: PublishedProtocol,
        number: int,
        split: Split,
        fit: FittedSplit,
        n_left_out: int,
        leaks: tuple[str, ...],
    ) -> Result:
        metric = METRICS[rule.metric]
        labels = fit.scored(self.table.labels[split.test])
        classes = features.classes(fit.head.classes_)
        scores = features.test_scores(fit.decision_function, split.test, fit.head.classes_)
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
            notes=(
                *published_protocol_differences(rule, self.table, n_left_out),
                *leaks,
                *fit.notes,
            ),
            device=str(self.net.device),
            confusion=tuple(_confusion(labels, scores, classes, self.table, split.test)),
            per_class=tuple(_per_class(metric, labels, scores, classes, self.table.class_names)),
        )


def _labels(table: ImageDataset, split: Split) -> IntArray:
    """Return the labels that a split trains on."""
    labels = table.labels
    if split.labels is not None:
        labels = labels.copy()
        labels[split.train] = split.labels
    return labels


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
