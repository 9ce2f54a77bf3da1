"""Where the coefficients of linear heads live: on the features, or on the training rows.

A design holds n rows ``x_i`` and maps coefficients of m classes to scores and back::

    forward   F = X W + 1 b'                        (n, m)
    adjoint   [X' R; 1' R]                          the gradient of sum(R * F)
    inner     (W, b)' M (V, c) = sum(W * V) + b c   per class, (m,)

:class:`Rows` keeps ``W`` itself, ``(n_features, m)``. :class:`Gram` keeps ``A``, ``(n, m)``, with
``W = X' A``: no minimiser of a penalised loss leaves the span of the rows (the representer
theorem), so nothing is lost, and with ``K = X X'`` at hand a product costs ``n * n * m`` instead
of ``2 * n * n_features * m``. Both end in one row for the bias.

The bias is either *free* (not penalised) or penalised: then it is the weight of one more feature
of constant value `scaling`, as in LIBLINEAR. With a free bias the features are centred on their
mean, which changes nothing but the conditioning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

BLOCK_ROWS = 1024  # what is worked on at once where rows must be copied
NARROW = 24
BLOCK_BYTES = 1 << 28  # what a streamed block of rows may take


@dataclass(frozen=True)
class Bias:
    """How the intercept is learned.

    Attributes
    ----------
    free : bool
        Not penalised.
    scaling : float
        Value of the constant feature behind a penalised bias; 0 for none.
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


class Design(Protocol):
    """Rows of features, seen through their linear maps."""

    bias: Bias
    n_rows: int
    n_params: int

    def forward(self, params: Tensor) -> Tensor:
        """Return the scores ``(n_rows, m)`` of coefficients ``(n_params, m)``."""

    def adjoint(self, R: Tensor) -> Tensor:
        """Return the gradient ``(n_params, m)`` of ``sum(R * forward(params))``."""

    def metric(self, params: Tensor, scores: Tensor) -> Tensor:
        """Return M c ``(n_params, m)`` of coefficients c with ``forward(c)``; see `inner`."""

    def zeros(self, n_classes: int) -> Tensor:
        """Return coefficients that are all 0."""


def inner(design: Design, a: Tensor, b: Tensor, forward_b: Tensor) -> Tensor:
    """Return the inner product ``a' M b`` of each class's coefficients, ``(m,)``."""
    return (a * design.metric(b, forward_b)).sum(0)


def penalised(design: Design, params: Tensor) -> Tensor:
    """Return the coefficients with a free bias set to 0: the gradient of the penalty."""
    if not design.bias.free:
        return params
    params = params.clone()
    params[-1] = 0
    return params


def blocks(X: Any, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows, each with its features as a tensor; one slice for a tensor."""
    if isinstance(X, Tensor):
        yield slice(0, X.shape[0]), X
        return
    n, d = X.shape
    step = max(1, BLOCK_BYTES // (d * dtype.itemsize))
    for start in range(0, n, step):
        rows = slice(start, min(n, start + step))
        yield rows, torch.as_tensor(X[rows]).to(device, dtype)


class Rows:
    """The features themselves, in memory or read in blocks of rows.

    Parameters
    ----------
    X : torch.Tensor or array-like
        ``(n_rows, n_features)``; what is not a tensor is read anew, in blocks, for each product.
    bias : Bias
        How the intercept is learned.
    device, dtype : torch.device, torch.dtype
        Where and in what precision to compute.
    scaling : Scaling, optional
        Shift and scale of the features, applied to the coefficients instead of to `X`.
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
        self.mean, self.scale = scaling.mean, scaling.scale[:, None]

    def forward(self, params: Tensor) -> Tensor:
        """Return the scores ``(n_rows, m)`` of coefficients ``(n_params, m)``."""
        W, intercept = self.coefficients(params)
        F = torch.empty((self.n_rows, W.shape[1]), device=self.device, dtype=self.dtype)
        for rows, X in blocks(self.X, self.device, self.dtype):
            torch.addmm(intercept, X, W, out=F[rows])
        return F

    def adjoint(self, R: Tensor) -> Tensor:
        """Return the gradient ``(n_params, m)`` of ``sum(R * forward(params))``."""
        total = R.sum(0)
        G = torch.zeros((self.n_params, R.shape[1]), device=self.device, dtype=self.dtype)
        for rows, X in blocks(self.X, self.device, self.dtype):
            G[:-1].addmm_(X.T, R[rows])
        G[:-1].sub_(self.mean[:, None] * total).mul_(self.scale)
        G[-1] = self.bias.scaling * total
        return G

    def metric(self, params: Tensor, scores: Tensor) -> Tensor:  # noqa: ARG002 - Gram's
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
    """The inner products of the training rows.

    Parameters
    ----------
    K : torch.Tensor
        ``(n_rows, n_rows)`` of ``X X'``.
    bias : Bias
        How the intercept is learned.
    """

    def __init__(self, K: Tensor, bias: Bias) -> None:
        self.K, self.bias = K, bias
        self.n_rows = K.shape[0]
        self.n_params = self.n_rows + 1

    def forward(self, params: Tensor) -> Tensor:
        """Return the scores ``(n_rows, m)`` of coefficients ``(n_params, m)``."""
        A = params[:-1]
        if self.bias.free:
            F = self._product(A - A.mean(0))
            return F.sub_(F.mean(0)).add_(params[-1])
        return self._product(A).add_(self.bias.scaling**2 * A.sum(0))

    def _product(self, A: Tensor) -> Tensor:
        """Return ``K A``; a few columns are twice as fast where each is contiguous."""
        return self.K @ (A.T.contiguous().T if A.shape[1] <= NARROW else A)

    def adjoint(self, R: Tensor) -> Tensor:
        """Return the gradient ``(n_params, m)`` of ``sum(R * forward(params))``."""
        last = R.sum(0, keepdim=True) if self.bias.free else torch.zeros_like(R[:1])
        return torch.cat([R, last])

    def metric(self, params: Tensor, scores: Tensor) -> Tensor:
        """Return ``[K A; b]``, which the scores hold already."""
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
