"""Nearest neighbours."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

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
    device : str
        Where to compute; see `decaf.device.find_devices`.
    memory_share : float
        Share of the machine's memory above which features are read in blocks.

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
        self._X = X
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
        device, dtype = find_device(self.device), compute_dtype(self._X)
        found = [
            self._nearest(self._ready(part))
            for _, block in blocks(X, device, dtype)
            for part in torch.split(block, BLOCK_ROWS)
        ]
        distances = torch.cat([d for d, _ in found]).cpu().numpy()
        return distances, torch.cat([i for _, i in found]).cpu().numpy()

    def _ready(self, X: Tensor) -> Tensor:
        return torch.nn.functional.normalize(X, dim=1) if self.metric == "cosine" else X

    def _nearest(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """Merge the nearest rows of each block of training rows."""
        k = self.n_neighbors_
        best = queries.new_full((len(queries), 0), torch.inf)
        index = torch.empty((len(queries), 0), dtype=torch.int64, device=queries.device)
        first = 0
        for _, block in blocks(self._X, queries.device, queries.dtype):
            for part in torch.split(block, BLOCK_ROWS):
                distances, near = _smallest(self._distance(queries, self._ready(part)), k)
                best, index = torch.cat([best, distances], 1), torch.cat([index, near + first], 1)
                best, order = _smallest(best, k)
                index = index.gather(1, order)
                first += len(part)
        return best, index

    def _distance(self, A: Tensor, B: Tensor) -> Tensor:
        if self.metric == "cosine":
            return (1 - A @ B.T).clamp_(min=0)
        return torch.cdist(A, B)

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
        weight = np.ones_like(distances)
        if self.weights == "distance":
            at_zero = distances == 0
            weight = np.where(
                at_zero.any(1, keepdims=True), at_zero, 1 / np.maximum(distances, 1e-38)
            )
        if self.weights == "uniform":
            weight = weight + TIE_BREAK * 0.5 ** np.arange(weight.shape[1])
        votes = np.zeros((len(weight), self._votes.shape[1]))
        for one, rows in zip(weight.T, index.T, strict=True):
            votes += one[:, None] * self._votes[rows]
        share: FloatArray = votes / weight.sum(1, keepdims=True)
        return share


def _smallest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return each row's k smallest values in order, of equal ones the first, and their columns."""
    k = min(k, values.shape[1])
    found, columns = values.topk(k, largest=False)
    tied = (values <= found[:, -1:]).sum(1) > k
    if tied.any():  # which of equal ones topk takes is open
        found[tied], columns[tied] = (part[:, :k] for part in values[tied].sort(stable=True))
    columns = columns.sort().values
    found, order = values.gather(1, columns).sort(stable=True)
    return found, columns.gather(1, order)
