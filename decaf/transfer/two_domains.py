"""What the adaptations have in common: rows of two domains, told apart by a mask."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from decaf.types import FloatArray


class TwoDomains(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc] # scikit-learn has no types
    """A transformer of rows of a source and a target domain.

    Attributes
    ----------
    transductive : bool
        Whether it reads the target rows that are to be tested, without labels.
    """

    transductive: ClassVar[bool] = True

    def fit(self, X: FloatArray, y: Any = None, *, target: npt.ArrayLike) -> Self:  # noqa: ARG002 - scikit-learn's word
        """Learn from rows of both domains.

        Parameters
        ----------
        X : numpy.ndarray
            ``(n_rows, n_features)``.
        y : object
            Not used, as no label is.
        target : array-like
            ``(n_rows,)`` bool, which rows are of the target domain.

        Raises
        ------
        ValueError
            If a domain has no row, or features cannot be used.
        """
        X, of = _checked(X, target)
        if of.all() or not of.any():
            raise ValueError(f"found {of.sum()} of {len(of)} rows in the target; give both domains")
        self.n_features_in_ = X.shape[1]
        self._learn(X[~of], X[of])
        return self

    def transform(self, X: FloatArray, *, target: npt.ArrayLike) -> FloatArray:
        """Return rows in the space that both domains share.

        Parameters
        ----------
        X : numpy.ndarray
            ``(n_rows, n_features)``.
        target : array-like
            ``(n_rows,)`` bool, which rows are of the target domain.

        Raises
        ------
        ValueError
            If features cannot be used.
        """
        check_is_fitted(self)
        X, of = _checked(X, target)
        parts = [(~of, self._source(X[~of])), (of, self._target(X[of]))]
        out = np.empty((len(X), parts[0][1].shape[1]))
        for rows, made in parts:
            out[rows] = made
        return out

    @abstractmethod
    def _learn(self, source: FloatArray, target: FloatArray) -> None:
        """Learn from the rows of each domain."""

    @abstractmethod
    def _source(self, X: FloatArray) -> FloatArray:
        """Transform source rows; there may be none."""

    @abstractmethod
    def _target(self, X: FloatArray) -> FloatArray:
        """Transform target rows; there may be none."""


def _checked(X: FloatArray, target: npt.ArrayLike) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    X, of = check_array(X, dtype=np.float64), np.asarray(target, np.bool_)
    if of.shape != (len(X),):
        raise ValueError(f"found a mask of shape {of.shape} for {len(X)} rows; give one value each")
    return X, of
