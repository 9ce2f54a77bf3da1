"""Newton's step of one class at a time, exact where conjugate gradients would be slow.

On the rows S short of their margin the squared hinge is quadratic, and the minimiser of that
piece is a ridge regression: with ``W = X_S' a`` and ``D = 2 C weight``::

    (X_S X_S' + D^-1) a + b 1 = y_S        and, where the bias is free, 1' a = 0

(Chapelle 2007, section 3.3; a is 0 off the support rows). With fewer features than support rows,
and for any loss of the margins, the step is ``-H^-1 gradient`` with ``H = I + X' D X``. Either
way a class costs one factorisation, however badly its system is conditioned.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from decaf.heads.designs import BLOCK_ROWS, Bias, Design, Gram, Rows
from decaf.heads.losses import Loss, SquaredHinge

GRAM_STEPS = 6
ROWS_STEPS = 10
"""Products of conjugate gradients that a factorisation is weighed against, by the design."""


def can_factorise(design: Design, loss: Loss) -> bool:
    """Return whether there is an exact step: not for streamed features, nor a coupled loss."""
    if isinstance(design, Gram):
        return isinstance(loss, SquaredHinge)
    return isinstance(design, Rows) and isinstance(design.X, Tensor)


def cheap_to_factorise(design: Design, D: Tensor) -> Tensor:
    """Return which classes ``(m,)`` are cheaper to factorise than to iterate on, on the CPU."""
    n_support = (D > 0).sum(0).double()
    n, p = design.n_rows, design.n_params
    if isinstance(design, Gram):
        flops, limit = n_support**3 / 3, GRAM_STEPS * 2.0 * n**2
    else:
        order = n_support.clamp(max=p)
        flops, limit = 2 * n_support * p * order + order**3 / 3, ROWS_STEPS * 4.0 * n * p
    cheap: Tensor = flops <= limit
    return cheap


def exact_step(
    design: Design, loss: Loss, D: Tensor, *, gradient: Tensor, P: Tensor, F: Tensor
) -> Tensor:
    """Return each class's Newton step, by the smaller of its two systems.

    Parameters
    ----------
    design : Design
        The training rows.
    loss : Loss
        A loss that :func:`can_factorise` with the design.
    D : torch.Tensor
        ``(n, m)`` second derivative of the loss in the scores.
    gradient, P : torch.Tensor
        ``(n_params, m)`` gradient and coefficients.
    F : torch.Tensor
        ``(n, m)`` scores.

    Returns
    -------
    torch.Tensor
        ``(n_params, m)``.
    """
    step = torch.empty_like(P)
    few = torch.zeros_like(P[0], dtype=torch.bool)
    if isinstance(loss, SquaredHinge) and isinstance(design, Gram | Rows):
        few = (D > 0).sum(0) < design.n_params
        k = few.nonzero()[:, 0]
        step[:, k] = _support_solution(design, loss.columns(k), F[:, k], P[-1, k]) - P[:, k]
    if isinstance(design, Rows):
        for k in (~few).nonzero()[:, 0]:
            step[:, k] = _primal_step(design, D[:, k], gradient[:, k])
    return step


def _support_solution(design: Gram | Rows, loss: SquaredHinge, F: Tensor, bias: Tensor) -> Tensor:
    """Return each class's minimiser ``(n_params, m)`` of the quadratic piece at scores `F`.

    A free bias is kept where a class has no support row.
    """
    D = loss.curvature(F).D
    solved = design.zeros(F.shape[1])
    solved[-1] = bias
    for k in range(F.shape[1]):
        rows = D[:, k].nonzero()[:, 0]
        if len(rows) == 0:
            continue
        if isinstance(design, Gram):
            make = partial(_part, design.K, rows)
            a, b = _ridge(make, loss.Y[rows, k], D[rows, k], design.bias)
            solved[rows, k] = a
            if design.bias.free:
                solved[-1, k] = b + design.K[:, rows].mean(0) @ a
        else:
            Z = design.features(rows)[:, :-1]
            a, b = _ridge(partial(torch.mm, Z, Z.T), loss.Y[rows, k], D[rows, k], design.bias)
            solved[:-1, k] = Z.T @ a
            solved[-1, k] = b
    return solved


def _part(K: Tensor, rows: Tensor) -> Tensor:
    return K[rows[:, None], rows]


def _ridge(K: Callable[[], Tensor], y: Tensor, D: Tensor, bias: Bias) -> tuple[Tensor, Tensor]:
    """Return dual coefficients ``(n_s,)`` and the bias's own coefficient."""
    constant = 0.0 if bias.free else bias.scaling**2
    right = torch.stack([y, torch.ones_like(y)], 1) if bias.free else y[:, None]
    both = _solve(K, 1 / D, constant, right)
    if not bias.free:
        return both[:, 0], bias.scaling * both[:, 0].sum()
    b = both[:, 0].sum() / both[:, 1].sum()
    return both[:, 0] - b * both[:, 1], b


def _primal_step(design: Rows, D: Tensor, gradient: Tensor) -> Tensor:
    def products() -> Tensor:
        A = D.new_zeros((design.n_params, design.n_params))
        for rows in torch.split(D.nonzero()[:, 0], BLOCK_ROWS):
            Z = design.features(rows).mul_(D[rows].sqrt()[:, None])
            A.addmm_(Z.T, Z)
        return A

    ridge = torch.ones_like(gradient)
    ridge[-1] = 0 if design.bias.free else 1
    return -_solve(products, ridge, 0.0, gradient[:, None])[:, 0]


def _solve(make: Callable[[], Tensor], diagonal: Tensor, constant: float, right: Tensor) -> Tensor:
    """Solve ``(A + diag(diagonal) + constant) x = right`` for a positive definite sum.

    In the precision of the A that `make` returns, which is overwritten, or in float64 where it is
    too ill-conditioned for that; what even float64 cannot tell from singular is moved by its
    rounding, which leaves a descent direction.
    """
    info = torch.zeros((), dtype=torch.int32, device=right.device)
    double = torch.float64
    for dtype, jitter in ((right.dtype, 0.0), (double, 0.0), (double, torch.finfo(double).eps)):
        A = make().to(dtype).add_(constant)
        A.diagonal().add_(diagonal)
        A.diagonal().add_(jitter * len(A) * A.diagonal().max())
        torch.linalg.cholesky_ex(A, out=(A, info))
        if not info:
            break
    return torch.cholesky_solve(right.to(A), A).to(right)
