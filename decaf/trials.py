"""Heads under a protocol, split by split: what an evaluation does once features are stored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf._version import __version__
from decaf.analysis.duplicates import in_both
from decaf.cells import Cell, CellData, labels_to_train, new_head, said_of_training
from decaf.datasets import dataset_digest
from decaf.device import find_device
from decaf.errors import ConfigError, DataError
from decaf.finetuning import FINETUNE, FineTuning, Frozen
from decaf.heads import FittedSplit
from decaf.measuring import measured
from decaf.metrics import METRICS
from decaf.progress import log, show_progress
from decaf.protocols import (
    PatchFeatures,
    PublishedProtocol,
    ViewFeatures,
    get_protocol,
    kept_splits,
    published_protocol_differences,
)
from decaf.records import Compute
from decaf.results import Journal, Result
from decaf.results.files import scores_file
from decaf.results.identity import changes, digest_of, split_digest
from decaf.results.rows import key_of
from decaf.store import FeatureStore
from decaf.stored_images import StoredImages
from decaf.transfer import adapted, what_was_read
from decaf.types import ImageDataset, Split

_SAID = (
    "train_per_class",
    "train_share",
    "normalize",
    "view",
    "box",
    "box_scale",
    "metric",
    "notes",
    "source",
    "domains",
    "train_on",
    "adapt",
)
"""Fields of a protocol that are columns of their own, or change nothing."""

_Fitted = tuple[ViewFeatures | PatchFeatures, FittedSplit]
"""Features as a split uses them, and the head on them."""

_UNTRAINABLE = (DataError, ConfigError, ValueError, RuntimeError, MemoryError)
"""What ends a head, and not those after it."""


@dataclass(frozen=True)
class Trials:
    """Heads on the stored features of one data set and net.

    Attributes
    ----------
    table : ImageDataset
        The data set.
    store : FeatureStore
        An open store.
    journal : Journal
        What is known of earlier runs, and where results are kept.
    compute : Compute
        Where heads are trained.
    tunings : mapping of str to FineTuning
        For the head ``finetune``, how each layer's net is fine-tuned.
    recipe : str
        How that departs from the default; empty if it does not.
    splits_file : pathlib.Path or None
        Where splits are read from, if it is there, or written to.
    metrics : tuple of str
        What is measured beside the protocol's own metric; keys of `decaf.metrics.METRICS`.
    keep_scores : bool
        Whether the scores of test rows are kept, in files of their own.
    failed : list of str
        The heads that could not be trained, and why.
    """

    table: ImageDataset
    store: FeatureStore
    journal: Journal
    compute: Compute
    tunings: Mapping[str, FineTuning] = field(default_factory=dict)
    recipe: str = ""
    splits_file: Path | None = None
    metrics: tuple[str, ...] = ()
    keep_scores: bool = False
    failed: list[str] = field(default_factory=list)

    def results(
        self, layers: Sequence[str], heads: Sequence[str], rules: Sequence[PublishedProtocol]
    ) -> Iterator[Result]:
        """Yield the results of every layer, head, number of shots and split.

        What the journal knows is taken from it. A head that cannot be trained does not end the
        others: it is added to `failed`.
        """
        total = len(layers) * len(heads) * sum(rule.n_splits for rule in rules)
        images = StoredImages(self.table, self.store, rules[0])
        splits_of = kept_splits(rules, self.table, images.done, self.splits_file)
        drawn = list(zip(rules, splits_of, strict=True))
        data = CellData(
            images,
            digest=digest_of(dataset_digest(self.table).encode(), images.image_sha256),
            n_left_out=int(np.count_nonzero(~images.done)),
            device=self.compute.device,
            leaks=self._leaks(
                images.image_sha256, [split for _, splits in drawn for split in splits]
            ),
        )
        with show_progress("training", total, "splits", quiet=self.compute.quiet) as advance:
            for layer in layers:
                for head in heads:
                    for rule, splits in drawn:
                        cell = Cell(data, layer, head, rule)
                        for result in self._row(cell, splits):
                            yield result
                            advance(1)

    def check(self, heads: Sequence[str], rules: Sequence[PublishedProtocol]) -> None:
        """Refuse heads that cannot do what the protocol asks, before anything is trained.

        Raises
        ------
        ConfigError
            If one cannot.
        """
        for head in heads:
            new_head(head, rules[0], self.compute.device, kind=self.table.label_kind)

    def _row(self, cell: Cell, splits: Sequence[Split]) -> Iterator[Result]:
        """Yield the results of one row, split by split."""
        facts = [self._facts(cell, *one) for one in enumerate(splits)]
        known = [self._known(one) for one in facts]
        todo = [one for one in enumerate(splits) if known[one[0]] is None]
        features = cell.features() if todo else None
        fitted: Iterator[_Fitted] = iter(())
        if features is not None:
            fit_all = self._fine_tune if cell.head == FINETUNE else self._fit
            fitted = fit_all(features, cell, splits[0], todo)
        for split, fact, old in zip(splits, facts, known, strict=True):
            if old is not None or features is None:
                yield from filter(None, [old])
                continue
            try:
                result = self._result(cell, split, fact, *next(fitted))
            except _UNTRAINABLE as error:
                shots = "" if split.shots is None else f", {split.shots} a class"
                self.failed.append(f"{cell.head} on {cell.layer}{shots}: {error}")
                return
            self.journal.add(result)
            yield result

    def _known(self, facts: Mapping[str, Any]) -> Result | None:
        """Return what an earlier run found, if it has all that this one asks for."""
        found = self.journal.find(facts)
        if found is None or not {*self.metrics} <= {name for name, _ in found.more}:
            return None
        if self.keep_scores and not scores_file(self.journal.path, facts).exists():
            return None
        return found

    def _leaks(self, digests: npt.NDArray[np.uint8], splits: Sequence[Split]) -> tuple[str, ...]:
        """Say where files that train are tested on too, on stderr and for the results' notes."""
        leaked = [(in_both(digests, split.train, split.test), split) for split in splits]
        worst, split = max(leaked, key=lambda one: len(one[0]))
        if not len(worst):
            return ()
        said = f"{len(worst)} of {len(split.test)} test images also stand in training"
        example = self.table.image_ids[worst[0]]
        log(
            f"{self.table.name}: {said}, as the same file, such as {example}; `decaf inspect "
            f"{self.store.path}` lists them, --group-by content keeps them on one side"
        )
        return (said,)

    def _fit(
        self,
        features: ViewFeatures | PatchFeatures,
        cell: Cell,
        first: Split,
        splits: Sequence[tuple[int, Split]],
    ) -> Iterator[_Fitted]:
        """Yield the fitted head of each split; the first of all of them says which C to try."""
        rule = cell.rule
        used = adapted(features, rule, first, self.table.domains)
        c_values = rule.c_values(used.train, used.training_split(first).train)
        for number, split in splits:
            used = adapted(features, rule, split, self.table.domains)
            one = [used.training_split(split)]
            fit = partial(cell.fitter(used, number, split), splits=one)
            if rule.selection.kind == "test":
                tried = [one for C in c_values[0] for one in fit(c_values=((), C))]
                yield used, max(tried, key=lambda one: self._test_value(used, rule, split, one))
            else:
                yield used, next(fit(c_values=c_values))

    def _fine_tune(
        self,
        features: ViewFeatures | PatchFeatures,
        cell: Cell,
        first: Split,
        splits: Sequence[tuple[int, Split]],
    ) -> Iterator[_Fitted]:
        """Yield the net and head that are fine-tuned on each split."""
        tuning, rule = self.tunings[cell.layer], cell.rule
        frozen = Frozen(
            features.train,
            rule.normalize,
            *rule.c_values(features.train, first.train),
            METRICS[rule.metric].score,
            self.compute.device,
        )
        for number, split in splits:
            seeded = replace(split, seed=rule.training_seed(number))
            fit = tuning.fit(seeded, labels_to_train(self.table, split), frozen)
            yield features, fit.as_fitted_split()

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

    def _facts(self, cell: Cell, number: int, split: Split) -> dict[str, Any]:
        """Return what is known of a result before anything is trained: among it, its identity."""
        rule, made = cell.rule, self.store.provenance
        return {
            "dataset": self.table.name,
            "dataset_digest": cell.data.digest,
            "partial": self.table.partial,
            "backbone": made.backbone,
            "weights": made.weights,
            "weights_sha256": made.weights_sha256,
            "layer": cell.layer,
            "pool": made.pooling,
            "view": " + ".join(made.views),
            "normalize": rule.normalize,
            "digest": self.store.digest,
            "head": cell.head,
            "head_settings": self.recipe if cell.head == FINETUNE else "",
            "protocol": rule.name,
            "settings": changes(rule, get_protocol(rule.name, self.table), besides=_SAID),
            "shots": split.shots,
            "train_share": rule.train_share,
            "metric": rule.metric,
            "split": number,
            "seed": rule.seed,
            "of_splits": rule.n_splits,
            "domains": ":".join(getattr(rule, "domains", ())),
            "train_on": getattr(rule, "train_on", ""),
            "adapt": getattr(rule, "adapt", "none"),
            "split_digest": split_digest(split),
            "test_digest": digest_of(split.test),
        }

    def _result(
        self,
        cell: Cell,
        split: Split,
        facts: Mapping[str, Any],
        features: ViewFeatures | PatchFeatures,
        fit: FittedSplit,
    ) -> Result:
        needed = self.keep_scores or any(METRICS[m].of == "probabilities" for m in self.metrics)
        named = {**facts, "key": key_of(facts)}
        kept = cell.scores(split, named, features, fit, probabilities=needed)
        if self.keep_scores:
            kept.write(scores_file(self.journal.path, facts))
        return Result(
            **facts,
            **measured(kept, METRICS[cell.rule.metric], self.metrics, seed=facts["split"]),
            C=fit.C,
            n_classes=len(kept.classes),
            n_train=len(split.train),
            n_test=len(split.test),
            seconds_fit=fit.seconds,
            converged=fit.converged,
            c_at_edge=fit.c_at_edge,
            decaf_version=__version__,
            objective=fit.objective,
            gradient_norm=fit.gradient_norm,
            notes=(
                *published_protocol_differences(cell.rule, self.table, cell.data.n_left_out),
                *cell.data.leaks,
                *said_of_training(cell.rule, self.table, split),
                *what_was_read(cell.rule),
                *fit.notes,
            ),
            device=str(find_device(self.compute.device)),
        )
