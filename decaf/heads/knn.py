"""Nearest neighbours."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from decaf.choices import Distance
from decaf.device import find_device
from decaf.heads.features import (
    BLOCK_ROWS,
    blocks,
    check_positive,
    checked_features,
    checked_rows,
    compute_dtype,
)
from decaf.heads.scores import Predictions
from decaf.heads.targets import encode
from decaf.retrieval.exact import nearest
from decaf.types import FloatArray

TIE_BREAK = 1e-9
"""What the nearest row's vote counts more, each farther row's half as much as the one before."""


class KNN(Predictions):
    """Weighted vote of the nearest training rows, in blocks of rows.

    Of equally many votes those that hold the nearest row win. Where there are fewer training rows
    than `n_neighbors`, all of them vote.

    Parameters
    ----------
    n_neighbors : int
        Number of neighbours that vote.
    metric : {"cosine", "euclidean"}
        Distance.
    weights : {"uniform", "distance"}
        Whether a vote counts 1 or the inverse of the distance; neighbours at distance 0 then
        outvote all others.
    device, memory_share : optional
        As in :class:`decaf.heads.LinearSVM`.

    Attributes
    ----------
    classes_ : numpy.ndarray
        Labels; column numbers for a label matrix.
    n_neighbors_ : int
        Number of neighbours that do vote.
    notes_ : tuple of str
        Says so where they are fewer than asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from decaf.heads.knn import KNN
    >>> head = KNN(n_neighbors=1).fit(np.array([[1.0, 0.0], [0.0, 1.0]]), ["right", "up"])
    >>> head.predict([[3.0, 1.0]])
    array(['right'], dtype='<U5')
    """

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        metric: Literal["cosine", "euclidean"] = "cosine",
        weights: Literal["uniform", "distance"] = "uniform",
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.n_neighbors, self.metric, self.weights = n_neighbors, metric, weights
        self.device, self.memory_share = device, memory_share

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:
        """Keep the training rows ``(n_images, n_features)`` and their labels.

        Labels are ``(n_images,)``, or ``(n_images, n_classes)`` of 1, -1 and 0 (no vote).
        """
        check_positive(n_neighbors=self.n_neighbors)
        for name, choices in (
            ("metric", ("cosine", "euclidean")),
            ("weights", ("uniform", "distance")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}; got {getattr(self, name)!r}")
        find_device(self.device)
        X, y = checked_rows(self, X, y)
        self.n_neighbors_ = min(self.n_neighbors, X.shape[0])
        few = f"{self.n_neighbors} neighbours asked for, {X.shape[0]} training rows found: "
        fewer = self.n_neighbors_ < self.n_neighbors
        self.notes_ = (few + "all of them vote",) if fewer else ()
        targets = encode(y, weight_of="label")
        self.classes_, self.multilabel_ = targets.classes, targets.multilabel
        self._votes = self._vote_matrix(np.where(targets.constant, targets.constant, targets.signs))
        # neighbours are found in float32, in which large values of float64 would be infinite
        large = isinstance(X, np.ndarray) and X.dtype == np.float64
        self._size = float(np.abs(X).max()) or 1.0 if large else 1.0
        self._X = X / self._size if large else X
        return self

    def _vote_matrix(self, signs: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Return each row's vote: 1 or 0 for one label a row, the label matrix for several."""
        if self.multilabel_:
            return signs
        if signs.shape[1] == 1:
            signs = np.hstack([-signs, signs])
        return (signs > 0).astype(np.int8)

    def kneighbors(self, X: Any) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Return distances and row numbers of the nearest rows, ``(n_images, n_neighbors)`` each.

        The nearest comes first; of equal distances the lower row number.
        """
        check_is_fitted(self)
        X = checked_features(self, X, reset=False)
        metric: Distance = "l2" if self.metric == "euclidean" else "cosine"
        found = [
            nearest(
                part.numpy() / self._size, self._X, self.n_neighbors_, metric, device=self.device
            )
            for _, block in blocks(X, torch.device("cpu"), compute_dtype(X))
            for part in torch.split(block, BLOCK_ROWS)
        ]
        distances = np.concatenate([one.distances for one in found])
        rows = np.concatenate([one.rows for one in found])
        return distances * (self._size if metric == "l2" else 1), rows

    def decision_function(self, X: Any) -> FloatArray:
        """Return each class's share of the votes, ``(n_images, n_classes)``.

        Of two classes it is ``(n_images,)``: the second one's less the first one's.
        """
        votes = self._poll(X)
        if self.multilabel_ or votes.shape[1] > 2:
            return votes
        difference: FloatArray = votes[:, 1] - votes[:, 0]
        return difference

    def predict_proba(self, X: Any) -> FloatArray:
        """Return each class's share of the votes as a probability, ``(n_images, n_classes)``."""
        votes = self._poll(X)
        return (1 + votes) / 2 if self.multilabel_ else votes

    def _poll(self, X: Any) -> FloatArray:
        distances, index = self.kneighbors(X)
        weight = np.ones_like(distances) + TIE_BREAK * 0.5 ** np.arange(distances.shape[1])
        if self.weights == "distance":
            at_zero = distances == 0
            inverse = 1 / np.maximum(distances, 1e-38)
            weight = np.where(at_zero.any(1, keepdims=True), at_zero, inverse)
        votes = np.zeros((len(weight), self._votes.shape[1]))
        for one, rows in zip(weight.T, index.T, strict=True):
            votes += one[:, None] * self._votes[rows]
        share: FloatArray = votes / weight.sum(1, keepdims=True)
        return share
