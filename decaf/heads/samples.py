"""Training rows, from which the designs of any subset of them are made.

With at most as many rows as features the inner products of all rows are computed once; the
Gram matrix of a subset (a fold's training rows) is then a submatrix, and the scores of other
rows are products with another one, so that the features are not touched again.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from decaf.heads.designs import BLOCK_ROWS, Bias, Gram, Rows, Scaling, column_moments
from decaf.heads.features import RowsOf, compute_dtype
from decaf.types import IntArray

GRAM_SHARE = 1.5
"""Rows a feature up to which inner products are used: n^2 against 2 n d for each product."""


class Samples:
    """Rows of features on a device.

    Parameters
    ----------
    X : numpy.ndarray or array-like
        ``(n_rows, n_features)`` features; an array is put on the device, anything else is read in
        blocks of rows.
    bias : Bias
        How the intercept is learned.
    device : torch.device
        Where to compute.
    standardize : bool
        Scale features to mean 0 and variance 1 over the rows that are trained on.
    """

    def __init__(
        self, X: Any, bias: Bias, device: torch.device, *, standardize: bool = False
    ) -> None:
        self.bias, self.device, self.standardize = bias, device, standardize
        self.dtype = compute_dtype(X)
        in_memory = type(X) is np.ndarray
        self.X = torch.as_tensor(X).to(device, self.dtype) if in_memory else X
        self.n_rows, self.n_features = X.shape
        self.K = None
        if not standardize and self.n_rows <= GRAM_SHARE * self.n_features:
            self.K = gram(self, np.arange(self.n_rows), None, self.dtype)

    def read(self, rows: IntArray) -> Tensor:
        """Return the features of some rows, ``(len(rows), n_features)``."""
        if isinstance(self.X, Tensor):
            return self.X[torch.as_tensor(rows, device=self.device)]
        return torch.as_tensor(self.X[rows]).to(self.device, self.dtype)

    def train(self, rows: IntArray | None = None) -> "TrainingSet":
        """Return the training set of some rows, all by default."""
        return TrainingSet(self, rows)


class TrainingSet:
    """Some rows, the design made of them, and what its coefficients mean.

    Parameters
    ----------
    samples : Samples
        The features.
    rows : numpy.ndarray, optional
        ``(n,)`` row numbers to train on; all by default.
    """

    def __init__(self, samples: Samples, rows: IntArray | None) -> None:
        self.samples, self.whole = samples, rows is None
        self.rows = np.arange(samples.n_rows) if rows is None else rows
        self.scaling = self._scaling() if samples.standardize else None
        self.design = self._design()

    def _scaling(self) -> Scaling:
        s = self.samples
        mean, variance = column_moments(self._features(), s.device, s.dtype)
        # A constant feature stays as it is, as in scikit-learn's StandardScaler.
        scale = torch.where(variance > 0, variance, 1.0).rsqrt()
        return Scaling(mean.to(s.device, s.dtype), scale.to(s.device, s.dtype))

    def _features(self) -> Any:
        s = self.samples
        if self.whole:
            return s.X
        return s.read(self.rows) if isinstance(s.X, Tensor) else RowsOf(s.X, self.rows)

    def _design(self) -> Gram | Rows:
        s = self.samples
        if len(self.rows) > GRAM_SHARE * s.n_features:
            return Rows(self._features(), s.bias, s.device, s.dtype, self.scaling)
        if s.K is None:
            return Gram(gram(s, self.rows, self.scaling, s.dtype), s.bias)
        if self.whole:
            return Gram(s.K, s.bias)
        rows = torch.as_tensor(self.rows, device=s.device)
        return Gram(s.K[rows[:, None], rows], s.bias)

    def double_design(self) -> Gram | None:
        """Return the design in float64; None where that would copy the features."""
        if isinstance(self.design, Rows):
            return None
        return Gram(gram(self.samples, self.rows, self.scaling, torch.float64), self.samples.bias)

    def lift(self, part: "TrainingSet", params: Tensor, n_columns: int) -> Tensor | None:
        """Return a solution on some of these rows as coefficients on all of them.

        None where the designs differ in kind, or a class is missing in the part.
        """
        if type(part.design) is not type(self.design) or params.shape[1] != n_columns:
            return None
        params = params.to(self.samples.dtype)
        if isinstance(self.design, Rows):
            return params
        lifted = self.design.zeros(n_columns)
        own = torch.as_tensor(np.searchsorted(self.rows, part.rows), device=params.device)
        lifted[own], lifted[-1] = params[:-1], params[-1]
        return lifted

    def coefficients(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights ``(n_features, m)`` and intercepts ``(m,)`` on the features as given."""
        if isinstance(self.design, Rows):
            return self.design.coefficients(params)
        A, intercept = self.design.dual(params.to(self.samples.dtype))
        s = self.samples
        W = torch.zeros((s.n_features, A.shape[1]), device=s.device, dtype=s.dtype)
        for start in range(0, len(self.rows), BLOCK_ROWS):
            block = s.read(self.rows[start : start + BLOCK_ROWS])
            if self.scaling is not None:
                block = self.scaling.apply(block)
            W.addmm_(block.T, A[start : start + BLOCK_ROWS])
        if self.scaling is None:
            return W, intercept
        W *= self.scaling.scale[:, None]
        return W, intercept - self.scaling.mean @ W

    def scores(self, params: Tensor, rows: IntArray) -> Tensor:
        """Return the scores ``(len(rows), m)`` of rows that need not be trained on."""
        s = self.samples
        if s.K is not None and isinstance(self.design, Gram):
            A, intercept = self.design.dual(params.to(self.samples.dtype))
            others = torch.as_tensor(rows, device=s.device)[:, None]
            own = torch.as_tensor(self.rows, device=s.device)
            return torch.addmm(intercept, s.K[others, own], A)
        W, intercept = self.coefficients(params)
        parts = [
            torch.addmm(intercept, s.read(rows[start : start + BLOCK_ROWS]), W)
            for start in range(0, len(rows), BLOCK_ROWS)
        ]
        return torch.cat(parts)


def gram(samples: Samples, rows: IntArray, scaling: Scaling | None, dtype: torch.dtype) -> Tensor:
    """Return the inner products ``(n, n)`` of some rows, in blocks: half the work of ``X X'``."""
    n = len(rows)
    K = torch.empty((n, n), device=samples.device, dtype=dtype)
    starts = range(0, n, BLOCK_ROWS)

    def block(start: int) -> Tensor:
        X = samples.read(rows[start : start + BLOCK_ROWS])
        return (X if scaling is None else scaling.apply(X)).to(dtype)

    for i in starts:
        left = block(i)
        for j in range(0, i + 1, BLOCK_ROWS):
            part = left @ (left if i == j else block(j)).T
            K[i : i + BLOCK_ROWS, j : j + BLOCK_ROWS] = part
            K[j : j + BLOCK_ROWS, i : i + BLOCK_ROWS] = part.T
    return K
