"""A cell of the table to come: one head on one layer, for one number of training images."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from decaf.errors import ConfigError
from decaf.finetuning import FINETUNE, row_numbers
from decaf.heads import CHANCE, EVERY_HEAD, HEADS, NUMBER_HEADS, FittedSplit, fit_splits
from decaf.heads.select import held_out_scores
from decaf.measuring import groups_of_rows, head_probabilities, names_of_rows
from decaf.metrics import METRICS
from decaf.metrics.kept_scores import KeptScores
from decaf.protocols import PatchFeatures, PublishedProtocol, ViewFeatures, trained
from decaf.protocols.draw import folds, strata
from decaf.stored_images import StoredImages
from decaf.types import OF_KIND, FloatArray, ImageDataset, IntArray, LabelKind, Split

N_FOLDS = 5
"""Of the training rows, where margins become probabilities and the protocol holds nothing out."""


@dataclass
class CellData:
    """What all cells of an evaluation are trained on.

    Attributes
    ----------
    images : StoredImages
        The stored features, by image.
    digest : str
        Of the data set's table and of the content of its files.
    n_left_out : int
        Images without features.
    leaks : tuple of str
        What is to be said of images on both sides.
    device : str
        Where heads are trained.
    """

    images: StoredImages
    digest: str
    n_left_out: int
    leaks: tuple[str, ...]
    device: str
    _layer: str = ""
    _features: ViewFeatures | PatchFeatures | None = None

    def features(self, layer: str) -> ViewFeatures | PatchFeatures:
        """Return a layer's features, of which one layer's are kept."""
        if self._features is None or layer != self._layer:
            self._features = None  # two layers need not fit into memory
            self._layer, self._features = layer, self.images.features(layer)
        return self._features


@dataclass(frozen=True)
class Cell:
    """One row of the table to come: a head on a layer, for one number of shots."""

    data: CellData
    layer: str
    head: str
    rule: PublishedProtocol

    @property
    def table(self) -> ImageDataset:
        """The data set."""
        return self.data.images.table

    def features(self) -> ViewFeatures | PatchFeatures:
        """Return what the head is trained on."""
        whole = self.data.features(self.layer)
        return row_numbers(whole) if self.head == FINETUNE else whole

    def fitter(
        self, features: ViewFeatures | PatchFeatures, number: int, split: Split
    ) -> Callable[..., Iterator[FittedSplit]]:
        """Return `fit_splits` for the rows of a split, with all but the rows and C said."""
        rule = self.rule
        estimator = new_head(self.head, rule, self.data.device, kind=self.table.label_kind)
        if "checkpoint" in estimator.get_params():
            estimator.set_params(checkpoint=str(self.data.images.store.path.parent))
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=rule.training_seed(number))
        return partial(
            fit_splits,
            estimator,
            features.train,
            features.labels(labels_to_train(self.table, split)),
            score=features.validation_score(METRICS[rule.metric].score),
            standardize=rule.normalize == "standard",
            class_names=self.table.class_names,
        )

    def scores(
        self,
        split: Split,
        facts: Mapping[str, Any],
        features: ViewFeatures | PatchFeatures,
        fit: FittedSplit,
        *,
        probabilities: bool,
    ) -> KeptScores:
        """Return what a head says of a split's test rows.

        Parameters
        ----------
        split : Split
            Its test rows.
        facts : mapping
            What is kept beside; among it ``split``, the split's number.
        features : ViewFeatures or PatchFeatures
            As the split uses them.
        fit : FittedSplit
            The head.
        probabilities : bool
            Whether they are needed; patches have none.
        """
        rows, of = split.test, fit.head.classes_
        scores = features.test_scores(fit.decision_function, rows, of)
        p: FloatArray = np.empty((0, 0))
        if probabilities and self.rule.patches is None:
            p = head_probabilities(
                self.head,
                scores,
                of,
                exclusive=self.table.labels.ndim == 1,
                summed=self.rule.test_views == "sum",
                held_out=partial(self._held_out, features, facts["split"], split, fit),
            )
        groups = groups_of_rows(self.table, rows)
        return KeptScores(
            ids=names_of_rows(self.table.image_ids, rows),
            labels=fit.scored(self.table.labels[rows]),
            scores=scores,
            classes=features.classes(of),
            class_names=np.array(self.table.class_names, dtype=object),
            probabilities=p,
            groups=np.array([], object) if groups is None else groups,
            facts=facts,
        )

    def _held_out(
        self,
        features: ViewFeatures | PatchFeatures,
        number: int,
        split: Split,
        fit: FittedSplit,
    ) -> tuple[FloatArray, IntArray] | None:
        """Return scores and labels of training images that the head, fitted again, did not see."""
        rng = np.random.default_rng([self.rule.seed, number])
        inner = split.inner or folds(strata(self.table, split.train, rng), N_FOLDS)
        if not inner:
            return None
        classes = fit.head.classes_
        scores, labels = held_out_scores(
            partial(self.fitter(features, number, split), c_values=((), fit.C or 1.0)),
            features.train,
            features.labels(labels_to_train(self.table, split)),
            features.training_split(replace(split, inner=inner)).inner,
            classes,
        )
        images: list[tuple[FloatArray, IntArray]] = []

        def keep(y: IntArray, F: FloatArray, _: Any) -> float:
            images.append((F, y))
            return 0.0

        features.validation_score(keep)(labels, scores, classes)  # of images, not of their views
        return images[0]


def said_of_training(rule: PublishedProtocol, table: ImageDataset, split: Split) -> tuple[str, ...]:
    """Say how many images of a class train, where that is a share or fewer than asked for."""
    if table.labels.ndim == 2 or (split.shots is None and rule.train_share is None):
        return ()
    found = trained(split, table)
    least, most = int(found[found > 0].min()), int(found.max())
    told = f"{least}" if least == most else f"{least} to {most}"
    if rule.train_share is not None:
        return (f"{told} training images a class, {100 * rule.train_share:g} % of those there are",)
    if split.shots is None or least >= split.shots:
        return ()
    return (f"{told} training images a class instead of {split.shots}",)


def labels_to_train(table: ImageDataset, split: Split) -> IntArray:
    """Return the labels that a split trains on."""
    labels = table.labels
    if split.labels is not None:
        labels = labels.copy()
        labels[split.train] = split.labels
    return labels


def new_head(head: str, rule: PublishedProtocol, device: str, *, kind: LabelKind) -> Any:
    """Return the unfitted head, with the protocol's weights of positives or of classes.

    Parameters
    ----------
    head : str
        Its name.
    rule : PublishedProtocol
        Says the weights.
    device : str
        Where it is trained.
    kind : str
        What the labels are; see `decaf.types.label_kind`.

    Raises
    ------
    ConfigError
        If the head does not learn such labels, has no such weights, or such labels have none.
    """
    balanced = rule.class_weight == "balanced"
    what = "classes" if balanced else "positives"
    if balanced and kind != "one":
        raise ConfigError(f"asked for class_weight balanced, found {OF_KIND[kind]}; leave it out")
    if (kind == "number") != (head in NUMBER_HEADS) and head != CHANCE:
        fitting = NUMBER_HEADS if kind == "number" else HEADS
        raise ConfigError(
            f"asked for the head {head}, found {OF_KIND[kind]}; choose one of: {', '.join(fitting)}"
        )
    estimator = None if head == FINETUNE else EVERY_HEAD[head](device=device)
    unweighted = not balanced and (estimator is None or rule.positive_weight == 1)
    if unweighted or head == CHANCE:  # which learns nothing
        return estimator
    if estimator is None or "class_weight" not in estimator.get_params():
        raise ConfigError(
            f"protocol {rule.name} weighs {what}, which head {head} cannot; choose svm or logreg"
        )
    weight = "balanced" if balanced else {1: rule.positive_weight, -1: 1.0}
    return estimator.set_params(class_weight=weight)
