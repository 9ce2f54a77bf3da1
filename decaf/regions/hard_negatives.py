"""One linear SVM a class, on all its objects and those other boxes that are hard to tell from them.

The published training goes through the images once. Boxes that overlap an object of the class by
less than 0.3 are its negatives. The first image gives all of its own; of the others those come in
that score above -1. The SVM is trained anew whenever 2 000 have come in, and leaves out those that
score below -1.2. As no more than the numbers of these boxes are kept, memory does not grow with
the number of images.

References
----------
Girshick et al., "Rich feature hierarchies", 2014, section 2.3 and appendix B; ``rcnn_train.m``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from sklearn.svm import LinearSVC

from decaf.errors import DataError
from decaf.types import FloatArray, IntArray

HARD, EASY = -1.0001, -1.2
"""Boxes of higher scores come in, boxes of lower ones go out."""
RETRAIN = 2000
"""New boxes of a class after which its SVM is trained anew."""
BIAS = 10.0
"""Value of the feature that stands for the bias, as LIBLINEAR's ``-B 10``."""


class RegionSource(Protocol):
    """Boxes of images with their features, such as `decaf.detection.StoredRegions`."""

    @property
    def n_images(self) -> int:
        """Number of images."""

    @property
    def positives(self) -> list[IntArray]:
        """Rows of each class's objects."""

    def rows(self, image: int) -> IntArray:
        """Return the rows of an image, which may be none."""

    def overlaps(self, image: int) -> FloatArray:
        """Return ``(n, n_classes)`` largest IoU of its rows with an object of each class."""

    def features(self, rows: IntArray) -> FloatArray:
        """Return ``(n, n_features)`` float32 features of rows."""


@dataclass(frozen=True)
class SvmRule:
    """How the SVMs are trained.

    Attributes
    ----------
    C : float
        Weight of the hinge loss.
    positive_weight : float
        What C is multiplied by for objects.
    negative_iou : float
        Negatives overlap objects of their class by less.
    epochs : int
        How often all images are gone through.
    """

    C: float = 1e-3
    positive_weight: float = 2.0
    negative_iou: float = 0.3
    epochs: int = 1


@dataclass(eq=False)
class Mining:
    """Where a training is; it can be written and taken up again.

    Attributes
    ----------
    weights, bias : numpy.ndarray
        ``(n_classes, n_features)`` and ``(n_classes,)`` of the SVMs.
    negatives : list of numpy.ndarray
        Rows of each class.
    n_new : numpy.ndarray
        ``(n_classes,)`` rows that came in since the class's SVM was trained.
    n_done : int
        Images gone through, over all epochs.
    """

    weights: FloatArray
    bias: FloatArray
    negatives: list[IntArray]
    n_new: IntArray
    n_done: int = 0
    _started: bool = field(default=False, repr=False)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all that it is."""
        counts = np.array([len(rows) for rows in self.negatives])
        arrays = {
            "weights": self.weights,
            "bias": self.bias,
            "negatives": np.concatenate([np.zeros(0, np.int64), *self.negatives]),
            "counts": counts,
            "n_new": self.n_new,
            "state": np.array([self.n_done, self._started]),
        }
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    @classmethod
    def of_tensors(cls, found: dict[str, torch.Tensor]) -> "Mining":
        """Return what `tensors` gave."""
        one = {name: tensor.numpy() for name, tensor in found.items()}
        rows = np.split(one["negatives"], np.cumsum(one["counts"])[:-1])
        n_done, started = one["state"].tolist()
        return cls(one["weights"], one["bias"], rows, one["n_new"], n_done, bool(started))


def mine(
    source: RegionSource,
    rule: SvmRule = SvmRule(),
    start: Mining | None = None,
    after_image: Callable[[Mining], None] = lambda _: None,
) -> Mining:
    """Train a linear SVM for each class.

    Parameters
    ----------
    source : RegionSource
        The images, in the order in which they are gone through.
    rule : SvmRule
        How.
    start : Mining, optional
        Where an earlier training of the same images was.
    after_image : callable
        Told after each image.

    Returns
    -------
    Mining
        With the SVMs of all classes.

    Raises
    ------
    DataError
        If a class has no object, or no box away from its objects.
    """
    positives = source.positives
    if not positives or not all(map(len, positives)):
        raise DataError("found classes without an object to train on, or none; annotate objects")
    at = start or _nothing(len(positives), source.features(positives[0][:1]).shape[1])
    total = rule.epochs * source.n_images
    while at.n_done < total:
        image = at.n_done % source.n_images
        rows = source.rows(image)
        last = at.n_done + 1 == total
        if len(rows):
            _take(at, rows, source.features(rows), source.overlaps(image) < rule.negative_iou)
        for number, hard in enumerate(at.negatives):
            first = len(rows) and not at._started
            if (first or last or at.n_new[number] > RETRAIN) and len(hard):
                _train(at, number, source, rule)
        at._started |= bool(len(rows))
        at.n_done += 1
        after_image(at)
    if empty := [number for number, rows in enumerate(at.negatives) if not len(rows)]:
        raise DataError(f"found no box away from the objects of the classes {empty}; add images")
    return at


def train_svm(
    X: FloatArray, is_object: npt.NDArray[np.bool_], rule: SvmRule
) -> tuple[FloatArray, float]:
    """Return weights and bias of LIBLINEAR's ``-s 3``: the hinge loss, solved in the dual.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n, n_features)`` features.
    is_object : numpy.ndarray
        ``(n,)`` which rows are objects.
    rule : SvmRule
        C and the weight of objects.
    """
    svm = LinearSVC(
        loss="hinge",
        C=rule.C,
        class_weight={1: rule.positive_weight, -1: 1.0},
        intercept_scaling=BIAS,
        tol=1e-7,
        max_iter=100_000,
        random_state=0,
    )
    svm.fit(X, np.where(is_object, 1, -1))
    return svm.coef_[0], float(svm.intercept_[0])


def _nothing(n_classes: int, n_features: int) -> Mining:
    return Mining(
        np.zeros((n_classes, n_features), np.float32),
        np.zeros(n_classes, np.float32),
        [np.zeros(0, np.int64) for _ in range(n_classes)],
        np.zeros(n_classes, np.int64),
    )


def _take(at: Mining, rows: IntArray, X: FloatArray, away: npt.NDArray[np.bool_]) -> None:
    """Add the negatives of an image that are hard; all of the first image."""
    hard = away & (X @ at.weights.T + at.bias > HARD) if at._started else away
    for number in range(len(at.bias)):
        new = np.setdiff1d(rows[hard[:, number]], at.negatives[number])
        at.negatives[number] = np.concatenate([at.negatives[number], new])
        at.n_new[number] += len(new)


def _train(at: Mining, number: int, source: RegionSource, rule: SvmRule) -> None:
    objects, others = source.positives[number], at.negatives[number]
    rows = np.sort(np.concatenate([objects, others]))
    X = source.features(rows)
    is_object = np.isin(rows, objects)
    at.weights[number], at.bias[number] = train_svm(X, is_object, rule)
    scores = X @ at.weights[number] + at.bias[number]
    at.negatives[number] = rows[~is_object & (scores >= EASY)]
    at.n_new[number] = 0
