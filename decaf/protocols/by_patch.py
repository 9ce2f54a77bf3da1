"""How a protocol uses patches: rows to train on, and scores of images.

References
----------
M. Oquab, L. Bottou, I. Laptev and J. Sivic, "Learning and transferring mid-level image
representations using convolutional neural networks", CVPR 2014 (section 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError
from decaf.metrics import METRICS
from decaf.names import Names
from decaf.protocols.by_view import Score
from decaf.protocols.rule import PublishedProtocol
from decaf.rowwise import probabilities
from decaf.types import FloatArray, IntArray, Split

BLOCK_ROWS = 16_384
"""Patches whose scores are computed at once."""


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Features of a layer for every patch, and how a protocol uses them.

    It has the interface of `decaf.protocols.ViewFeatures`.

    Attributes
    ----------
    train : array-like
        ``(n_patches, n_features)`` rows, read as they are asked for.
    patch_labels : numpy.ndarray
        ``(n_patches,)`` class numbers, with `n_classes` for background and one more for difficult
        objects; or those of the images.
    starts : numpy.ndarray
        ``(n_images + 1,)`` first patch of each image, and the end.
    n_classes : int
        Number of classes without the background.
    rule : PublishedProtocol
        Power and pool, and what share of the background trains.
    """

    train: Any
    patch_labels: IntArray
    starts: IntArray
    n_classes: int
    rule: PublishedProtocol

    def training_split(self, split: Split) -> Split:
        """Return a split's training and validation rows as rows of `train`.

        Of labelled patches, those that show a difficult object are left out, and all but a share
        of those that show background, drawn from the seeds of protocol and split. No other row's
        label is looked at.
        """
        dealt = np.random.default_rng([self.rule.seed, split.seed]).random(len(self.patch_labels))

        def trained(images: IntArray) -> IntArray:
            rows: IntArray = self.rows(images)
            if self.patch_labels.ndim == 2:
                return rows
            shown, chance = self.patch_labels[rows], dealt[rows]
            background = (shown == self.n_classes) & (chance < self.rule.background_share)
            kept: IntArray = rows[(shown < self.n_classes) | background]
            return kept

        return replace(
            split,
            train=trained(split.train),
            inner=tuple((trained(fit), trained(held_out)) for fit, held_out in split.inner),
        )

    def rows(self, images: IntArray) -> IntArray:
        """Return the patches of some images, image after image."""
        return np.concatenate([np.arange(*self.starts[i : i + 2]) for i in images.tolist()])

    def labels(self, _: IntArray) -> IntArray:
        """Return the label, or label vector, of each patch."""
        return self.patch_labels

    def validation_score(self, score: Score) -> Score:
        """Return a score of patches: the mean accuracy of classes where each has one label."""
        return score if self.patch_labels.ndim == 2 else METRICS["mean_per_class"].score

    def classes(self, classes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the classes of `test_scores`: all of the data set's."""
        return np.arange(self.n_classes, dtype=classes.dtype)

    def test_scores(
        self,
        decision_function: Callable[[Any], FloatArray],
        images: IntArray,
        classes: npt.NDArray[Any],
    ) -> FloatArray:
        """Return the scores of images from the logits of their patches.

        Parameters
        ----------
        decision_function : callable
            A head's.
        images : numpy.ndarray
            Numbers of images.
        classes : numpy.ndarray
            The head's classes.

        Returns
        -------
        numpy.ndarray
            ``(len(images), n_classes)``; 0 for a class that no patch to train on showed.
        """
        counts = np.diff(self.starts)[images]
        blocks = np.searchsorted(np.cumsum(counts), np.arange(BLOCK_ROWS, counts.sum(), BLOCK_ROWS))
        known = classes < self.n_classes
        found = np.zeros((len(images), self.n_classes))
        first = 0
        for some in np.split(images, np.unique(blocks)):
            if len(some):
                logits = decision_function(self.train[self.rows(some)])
                y = probabilities(logits, exclusive=self.patch_labels.ndim == 1)
                scores = pool_patches(
                    y[:, known],
                    np.diff(self.starts)[some],
                    power=self.rule.patch_power,
                    pool=self.rule.patch_pool,
                )
                rows = slice(first, first + len(some))
                found[rows, classes[known]] = scores
                first += len(some)
        return found


def patch_features(
    layer: Any, image_ids: Sequence[str], labels: IntArray, n_classes: int, rule: PublishedProtocol
) -> PatchFeatures:
    """Return stored features of patches as a protocol uses them.

    Parameters
    ----------
    layer : array-like
        ``(n_patches, n_features)``, image after image.
    image_ids : sequence of str
        The image of each patch.
    labels : numpy.ndarray
        Labels of the patches.
    n_classes : int
        Number of classes without the background.
    rule : PublishedProtocol
        How patches are used.

    Raises
    ------
    ConfigError
        If the protocol normalises features, which layers on patches learn by themselves.
    """
    if rule.normalize != "none":
        raise ConfigError(f"patches train without normalisation, found {rule.normalize!r}")
    return PatchFeatures(layer, labels, image_starts(image_ids), n_classes, rule)


def image_starts(image_ids: Sequence[str]) -> IntArray:
    """Return the first row of each image in a table of patches, and the end."""
    return Names(image_ids).starts()


def pool_patches(
    y: FloatArray, counts: IntArray, *, power: float = 5.0, pool: Literal["mean", "max"] = "mean"
) -> FloatArray:
    """Return the score of each image and class: the mean over patches of ``y ** power``.

    Parameters
    ----------
    y : numpy.ndarray
        ``(n_patches, n_classes)`` probabilities, image after image.
    counts : numpy.ndarray
        ``(n_images,)`` patches of each image, one at least.
    power : float
        High powers let the few patches that show an object decide; 5 in the paper.
    pool : {"mean", "max"}
        How patches become one number.

    Returns
    -------
    numpy.ndarray
        ``(n_images, n_classes)``.
    """
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    raised = y.astype(np.float64) ** power
    if pool == "max":
        highest: FloatArray = np.maximum.reduceat(raised, starts, axis=0)
        return highest
    total: FloatArray = np.add.reduceat(raised, starts, axis=0)
    return total / counts[:, None]
