"""Ridge regression of numbers, beside the heads that tell classes apart."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from decaf.heads.features import check_positive, checked_features
from decaf.types import FloatArray


class RidgeRegression(RegressorMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """Scikit-learn's Ridge in the form of the heads: ``||W||^2 / 2 + C sum(errors^2) / 2``.

    Parameters
    ----------
    C : float
        Weight of the errors; scikit-learn's `alpha` is its inverse.
    device : str
        Not used; all heads have it.
    memory_share : float
        Not used; all heads have it.

    Attributes
    ----------
    classes_ : numpy.ndarray
        ``(n_numbers,)`` column numbers.
    """

    def __init__(self, C: float = 1.0, *, device: str = "auto", memory_share: float = 0.5) -> None:
        self.C, self.device, self.memory_share = C, device, memory_share

    def fit(self, X: Any, y: FloatArray) -> Self:
        """Fit features ``(n_images, n_features)`` and numbers ``(n_images, n_numbers)``."""
        check_positive(C=self.C)
        X = np.asarray(checked_features(self, X, reset=True)[:])
        y = np.asarray(y, np.float64).reshape(len(y), -1)
        self.ridge_ = Ridge(alpha=1 / self.C).fit(X, y)
        self.classes_ = np.arange(y.shape[1])
        return self

    def fit_path(self, X: Any, y: FloatArray, Cs: Sequence[float]) -> list[Self]:
        """Return one fitted head for each C."""
        return [type(self)(C, device=self.device).fit(X, y) for C in Cs]

    def decision_function(self, X: Any) -> FloatArray:
        """Return what is predicted, ``(n_images, n_numbers)``."""
        check_is_fitted(self)
        X = np.asarray(checked_features(self, X, reset=False)[:])
        found: FloatArray = self.ridge_.predict(X).reshape(len(X), -1)
        return found

    predict = decision_function
