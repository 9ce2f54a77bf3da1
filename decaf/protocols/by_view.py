"""How a protocol uses several views of an image: rows to train on, and scores of images.

An image's views are consecutive rows. So row ``i`` of a table becomes rows ``n * i`` to
``n * i + n - 1`` where its n views train as separate rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from decaf.choices import Normalize
from decaf.protocols.rule import PublishedProtocol
from decaf.rowwise import normalized
from decaf.types import FloatArray, IntArray, Split

Score = Callable[[IntArray, FloatArray, Any], float]


@dataclass(frozen=True, eq=False)
class ViewFeatures:
    """Features of a layer in the form in which a protocol trains on them and tests them.

    Attributes
    ----------
    train : numpy.ndarray
        ``(n_images * n_train, n_features)`` float32 normalised rows.
    test : numpy.ndarray
        ``(n_images * n_test, n_features)``, the same.
    n_train, n_test : int
        Rows an image: the number of views, or 1 for their mean.
    """

    train: FloatArray
    test: FloatArray
    n_train: int
    n_test: int

    def training_split(self, split: Split) -> Split:
        """Return a split's training and validation rows as rows of `train`."""
        return replace(
            split,
            labels=None,
            train=rows_of_views(split.train, self.n_train),
            inner=tuple(
                (rows_of_views(fit, self.n_train), rows_of_views(validation, self.n_train))
                for fit, validation in split.inner
            ),
        )

    def labels(self, labels: IntArray) -> IntArray:
        """Return the label, or label vector, of each row of `train`."""
        return np.repeat(labels, self.n_train, axis=0)

    def classes(self, classes: Any) -> Any:
        """Return a head's classes, all of which are the data set's."""
        return classes

    def validation_score(self, score: Score) -> Score:
        """Return a score of rows of `train` that scores images, by the sum over their views."""
        n = self.n_train
        if n == 1:
            return score
        return lambda labels, scores, classes: score(labels[::n], _summed(scores, n), classes)

    def test_scores(
        self,
        decision_function: Callable[[FloatArray], FloatArray],
        rows: IntArray,
        classes: Any,  # noqa: ARG002 - the metric knows what to do with a missing one
    ) -> FloatArray:
        """Return the scores of images: of their mean, or the sum over their views."""
        scores = decision_function(self.test[rows_of_views(rows, self.n_test)])
        return _summed(scores, self.n_test)


def view_features(features: FloatArray, rule: PublishedProtocol) -> ViewFeatures:
    """Return features as a protocol uses them.

    Parameters
    ----------
    features : numpy.ndarray
        ``(n_images, n_features)``, or ``(n_images, n_views, n_features)``.
    rule : PublishedProtocol
        Says how views are used, and how rows are normalised.

    Returns
    -------
    ViewFeatures
        Rows to train on and to test; one array where both are used alike.
    """
    features = np.asarray(features, dtype=np.float32)
    if features.ndim == 2:
        features = features[:, None]
    train = _rows(features, rule.train_views == "mean", rule.normalize)
    if (rule.train_views == "mean") == (rule.test_views == "mean"):
        test = train
    else:
        test = _rows(features, rule.test_views == "mean", rule.normalize)
    return ViewFeatures(train, test, len(train) // len(features), len(test) // len(features))


def rows_of_views(rows: IntArray, n_views: int) -> IntArray:
    """Return the rows of all views of some images, image after image."""
    return (rows[:, None] * n_views + np.arange(n_views)).ravel()


def _rows(features: FloatArray, mean: bool, how: Normalize) -> FloatArray:
    X = features.mean(axis=1) if mean else features.reshape(-1, features.shape[2])
    return normalized(X, how)


def _summed(scores: FloatArray, n_views: int) -> FloatArray:
    """Sum the scores of each image's consecutive rows."""
    if n_views == 1:
        return scores
    total: FloatArray = scores.reshape(-1, n_views, *scores.shape[1:]).sum(axis=1)
    return total
