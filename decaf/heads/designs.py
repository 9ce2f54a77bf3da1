"""Where the coefficients of linear heads live: on the features, or on the training rows.

A design holds n rows ``x_i`` and maps coefficients of m classes to scores and back::

    forward   F = X W + 1 b'                        (n, m)
    adjoint   [X' R; 1' R]                          the gradient of sum(R * F)
    inner     (W, b)' M (V, c) = sum(W * V) + b c   per class, (m,)
    metric    M (V, c), which Gram has from F = forward((V, c)) already

:class:`Rows` keeps ``W`` itself, ``(n_features, m)``. :class:`Gram` keeps ``A``, ``(n, m)``, with
``W = X' A``: no minimiser of a penalised loss leaves the span of the rows (the representer
theorem), so nothing is lost, and with ``K = X X'`` at hand a product costs ``n * n * m`` instead
of ``2 * n * n_features * m``. Both end in one row for the bias.

The bias is either *free* (not penalised) or penalised: then it is the weight of one more feature
of constant value `scaling`, as in LIBLINEAR. With a free bias the features are centred on their
mean, which changes nothing but the conditioning.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from decaf.heads.features import BLOCK_ROWS, RowsOf, blocks, compute_dtype, placed, taken
from decaf.types import IntArray

NARROW = 24
GRAM_SHARE = 1.25
"""Rows a feature up to which inner products are used: n^2 against 2 n d for each product, and
for the memory."""
FEW_FEATURES = 256
FEW_ROWS = 1024
"""Up to which features, or inner products, in float64 cost little beside what there is."""


@dataclass(frozen=True)
class Bias:
    """How the intercept is learned.

    *Free* is not penalised; else `scaling` is the value of the constant feature behind it, 0 for
    none.
    """

    free: bool
    scaling: float = 1.0


@dataclass(frozen=True, eq=False)
class Scaling:
    """Shift and scale of features: ``(x - mean) * scale``."""

    mean: Tensor
    scale: Tensor

    def apply(self, X: Tensor) -> Tensor:
        """Return the features shifted and scaled."""
        return (X - self.mean).mul_(self.scale)


def inner(design: "Design", a: Tensor, b: Tensor, forward_b: Tensor | None = None) -> Tensor:
    """Return the inner product ``a' M b`` of each class's coefficients, ``(m,)``."""
    return (a * design.metric(b, forward_b)).sum(0)


def penalised(design: "Design", params: Tensor) -> Tensor:
    """Return the coefficients with a free bias set to 0: the gradient of the penalty."""
    if not design.bias.free:
        return params
    params = params.clone()
    params[-1] = 0
    return params


class Rows:
    """The features themselves, a tensor, or what is read anew, in blocks, for each product.

    A scaling of the features is applied to the coefficients instead of to `X`.
    """

    def __init__(
        self,
        X: Any,
        bias: Bias,
        device: torch.device,
        dtype: torch.dtype,
        scaling: Scaling | None = None,
    ) -> None:
        self.X, self.bias, self.device, self.dtype = X, bias, device, dtype
        self.n_rows, n_features = X.shape
        self.n_params = n_features + 1
        if scaling is None:
            mean = torch.zeros(n_features)
            if bias.free:
                mean, _ = column_moments(X, device, dtype)
            scaling = Scaling(mean.to(device, dtype), torch.ones_like(mean).to(device, dtype))
        self.mean, self.scale = scaling.mean.to(dtype), scaling.scale.to(dtype)[:, None]

    def forward(self, params: Tensor) -> Tensor:
        """Return the scores of coefficients."""
        W, intercept = self.coefficients(params)
        F = torch.empty((self.n_rows, W.shape[1]), device=self.device, dtype=self.dtype)
        for rows, X in blocks(self.X, self.device, self.dtype):
            torch.addmm(intercept, X, W, out=F[rows])
        return F

    def adjoint(self, R: Tensor) -> Tensor:
        """Return the gradient of ``sum(R * forward(params))``."""
        total = R.sum(0)
        sums = torch.zeros((R.shape[1], self.n_params - 1), device=self.device, dtype=self.dtype)
        for rows, X in blocks(self.X, self.device, self.dtype):
            # few rows at a time, which stay in the processor's cache: up to twice as fast
            for r, x in zip(
                torch.split(R[rows], BLOCK_ROWS), torch.split(X, BLOCK_ROWS), strict=True
            ):
                sums.addmm_(r.T, x)
        G = self.zeros(R.shape[1])
        torch.sub(sums.T, self.mean[:, None] * total, out=G[:-1]).mul_(self.scale)
        G[-1] = self.bias.scaling * total
        return G

    def metric(self, params: Tensor, scores: Tensor | None) -> Tensor:  # noqa: ARG002 - Gram's
        """Return the coefficients: the metric is Euclid's."""
        return params

    def features(self, rows: Tensor) -> Tensor:
        """Return rows ``(len(rows), n_params)`` as the coefficients see them; a copy."""
        Z = torch.empty((len(rows), self.n_params), device=self.device, dtype=self.dtype)
        torch.sub(self.X[rows], self.mean, out=Z[:, :-1]).mul_(self.scale[:, 0])
        Z[:, -1] = self.bias.scaling
        return Z

    def zeros(self, n_classes: int) -> Tensor:
        """Return coefficients that are all 0."""
        return torch.zeros((self.n_params, n_classes), device=self.device, dtype=self.dtype)

    def coefficients(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Return weights ``(n_features, m)`` and intercepts ``(m,)`` on the features as given."""
        W = params[:-1] * self.scale
        return W, self.bias.scaling * params[-1] - self.mean @ W


class Gram:
    """The inner products ``K = X X'`` of the training rows, ``(n_rows, n_rows)``."""

    def __init__(self, K: Tensor, bias: Bias) -> None:
        self.K, self.bias = K, bias
        self.n_rows = K.shape[0]
        self.n_params = self.n_rows + 1

    def forward(self, params: Tensor) -> Tensor:
        """Return the scores of coefficients."""
        A = params[:-1]
        if self.bias.free:
            F = self._product(A - A.mean(0))
            return F.sub_(F.mean(0)).add_(params[-1])
        return self._product(A).add_(self.bias.scaling**2 * A.sum(0))

    def _product(self, A: Tensor) -> Tensor:
        """Return ``K A``; a few columns are twice as fast where each is contiguous."""
        return self.K @ (A.T.contiguous().T if A.shape[1] <= NARROW else A)

    def adjoint(self, R: Tensor) -> Tensor:
        """Return the gradient of ``sum(R * forward(params))``."""
        last = R.sum(0, keepdim=True) if self.bias.free else torch.zeros_like(R[:1])
        return torch.cat([R, last])

    def metric(self, params: Tensor, scores: Tensor | None) -> Tensor:
        """Return ``[K A; b]``, which the scores hold already."""
        scores = self.forward(params) if scores is None else scores
        bias = params[-1:]
        return torch.cat([scores - bias if self.bias.free else scores, bias])

    def zeros(self, n_classes: int) -> Tensor:
        """Return coefficients that are all 0."""
        return self.K.new_zeros((self.n_params, n_classes))

    def dual(self, params: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(A, intercept)`` such that any row x has the scores ``x' X' A + intercept``."""
        A = params[:-1]
        if not self.bias.free:
            return A, self.bias.scaling**2 * A.sum(0)
        A = A - A.mean(0)
        return A, params[-1] - (self.K @ A).mean(0)


Design = Rows | Gram


def column_moments(X: Any, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return the mean and variance ``(n_features,)`` over rows, merged block by block.

    References
    ----------
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for
    computing sample variances", 1979 (equation 2.1).
    """
    n, d = X.shape
    mean = torch.zeros(d, dtype=torch.float64, device=device)
    spread = torch.zeros_like(mean)
    seen = 0
    for _, rows in blocks(X, device, dtype):
        for block in torch.split(rows, BLOCK_ROWS):
            before, seen = seen, seen + len(block)
            b_mean = block.mean(0, dtype=torch.float64)
            b_spread = block.var(0, correction=0).double() * len(block)
            delta = b_mean - mean
            spread += b_spread + delta**2 * (before * len(block) / seen)
            mean += delta * (len(block) / seen)
    return mean, spread / n


class Samples:
    """Rows of features on a device, from which the designs of any subset of them are made.

    With at most as many rows as features the inner products of all rows are computed once; the
    Gram matrix of a subset (a fold's training rows) is then a submatrix, and the scores of other
    rows are products with another one, so that the features are not touched again.

    An array is put on the device, anything else is read in blocks of rows; to *standardize* is to
    scale features to mean 0 and variance 1 over the rows that are trained on.
    """

    def __init__(
        self, X: Any, bias: Bias, device: torch.device, *, standardize: bool = False
    ) -> None:
        self.bias, self.device, self.standardize = bias, device, standardize
        self.dtype = compute_dtype(X)
        self.X = placed(X, device)
        self.n_rows, self.n_features = X.shape
        self.K = None
        if not standardize and self.n_rows <= GRAM_SHARE * self.n_features:
            self.K = self.gram(np.arange(self.n_rows), None, self.dtype)

    def read(self, rows: IntArray) -> Tensor:
        """Return the features of some rows; successive ones without a copy."""
        in_turn = len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows)))
        if isinstance(self.X, Tensor) and in_turn:
            return self.X[rows[0] : rows[0] + len(rows)]
        return taken(self.X, torch.as_tensor(rows, device=self.device))

    def gram(self, rows: IntArray, scaling: Scaling | None, dtype: torch.dtype) -> Tensor:
        """Return the inner products of some rows, in blocks: half the work of ``X X'``."""
        K = torch.empty((len(rows), len(rows)), device=self.device, dtype=dtype)

        def block(start: int) -> Tensor:
            X = self.read(rows[start : start + BLOCK_ROWS])
            return (X if scaling is None else scaling.apply(X)).to(dtype)

        for i in range(0, len(rows), BLOCK_ROWS):
            left = block(i)
            for j in range(0, i + 1, BLOCK_ROWS):
                part = left @ (left if i == j else block(j)).T
                K[i : i + BLOCK_ROWS, j : j + BLOCK_ROWS] = part
                K[j : j + BLOCK_ROWS, i : i + BLOCK_ROWS] = part.T
        return K

    def train(self, rows: IntArray | None = None) -> "TrainingSet":
        """Return the training set of some rows, all by default."""
        return TrainingSet(self, rows)


class TrainingSet:
    """Some rows of samples, the design made of them, and what its coefficients mean."""

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
            return Gram(s.gram(self.rows, self.scaling, s.dtype), s.bias)
        if self.whole:
            return Gram(s.K, s.bias)
        rows = torch.as_tensor(self.rows, device=s.device)
        return Gram(s.K[rows[:, None], rows], s.bias)

    def double_design(self) -> Gram | Rows | None:
        """Return the design in float64; None where that would be a large copy."""
        s, design, double = self.samples, self.design, torch.float64
        if isinstance(design, Gram):
            few = design.n_rows <= max(FEW_ROWS, s.n_features // 2)
            return Gram(s.gram(self.rows, self.scaling, double), s.bias) if few else None
        if s.n_features > FEW_FEATURES or not isinstance(design.X, Tensor):
            return None
        return Rows(design.X.to(double), s.bias, s.device, double, self.scaling)

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
        s = self.samples
        params = params.to(s.dtype)
        if isinstance(self.design, Rows):
            return self.design.coefficients(params)
        A, intercept = self.design.dual(params)
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
            A, intercept = self.design.dual(params.to(s.dtype))
            others = torch.as_tensor(rows, device=s.device)[:, None]
            own = torch.as_tensor(self.rows, device=s.device)
            return torch.addmm(intercept, s.K[others, own], A)
        W, intercept = self.coefficients(params)
        parts = [
            torch.addmm(intercept, s.read(rows[start : start + BLOCK_ROWS]), W)
            for start in range(0, len(rows), BLOCK_ROWS)
        ]
        return torch.cat(parts)
