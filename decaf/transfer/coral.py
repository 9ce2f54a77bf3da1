"""Correlation alignment: source features get the target's covariance."""

import numpy as np

from decaf.transfer.two_domains import TwoDomains
from decaf.types import FloatArray


class Coral(TwoDomains):
    """Correlation alignment: source rows are whitened, then given the target's covariance.

    Each domain is centred and scaled first; then ``X_s (C_s + I)^(-1/2) (C_t + I)^(1/2)``.

    Parameters
    ----------
    standardize : bool
        Scale features to variance 1 in each domain, as the authors do.

    References
    ----------
    Sun, Feng and Saenko, Return of frustratingly easy domain adaptation, AAAI 2016, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> corners = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    >>> X = np.concatenate([corners, corners * [2, 0.5]])
    >>> coral = Coral(standardize=False).fit(X, target=[False] * 4 + [True] * 4)
    >>> coral.transform(corners[3:], target=[False]).round(6)
    array([[1.647509, 0.755929]])
    """

    def __init__(self, standardize: bool = True) -> None:
        self.standardize = standardize

    def _learn(self, source: FloatArray, target: FloatArray) -> None:
        self._of_source, self._of_target = (
            _Moments(one, standardize=self.standardize) for one in (source, target)
        )

    def _source(self, X: FloatArray) -> FloatArray:
        whitened = self._of_source.power(self._of_source.scaled(X), -0.5)
        return self._of_target.power(whitened, 0.5)

    def _target(self, X: FloatArray) -> FloatArray:
        return self._of_target.scaled(X)


class _Moments:
    """Mean, scale and covariance of rows; of the covariance, what its n rows span."""

    def __init__(self, X: FloatArray, *, standardize: bool) -> None:
        self.mean = X.mean(axis=0)
        deviation = X.std(axis=0) if standardize else np.ones(X.shape[1])
        self.scale = np.where(deviation > 0, deviation, 1)
        _, s, self.basis = np.linalg.svd(self.scaled(X), full_matrices=False)
        self.variance = s**2 / max(len(X) - 1, 1)

    def scaled(self, X: FloatArray) -> FloatArray:
        out: FloatArray = (X - self.mean) / self.scale
        return out

    def power(self, X: FloatArray, exponent: float) -> FloatArray:
        """Return ``X (C + I)^exponent``: outside of the span of the rows that is X itself."""
        factor = (self.variance + 1) ** exponent - 1
        out: FloatArray = X + (X @ self.basis.T * factor) @ self.basis
        return out
