"""Newton's step on the squared hinge, solved exactly on the support rows.

On the rows S short of their margin the objective is quadratic, and its minimiser is that of a
ridge regression: with ``W = X_S' a`` and ``D = 2 C weight``::

    (K_SS + D^-1) a + b 1 = y_S        and, where the bias is free, 1' a = 0

(Chapelle 2007, section 3.3; a is 0 off the support rows). A class of n_s support rows costs
``n_s**3 / 3`` once, however badly the system is conditioned.
"""

import torch
from torch import Tensor

from decaf.heads.designs import Gram
from decaf.heads.losses import SquaredHinge

CG_STEPS = 6  # products of conjugate gradients that a factorisation is weighed against


def few_support_rows(D: Tensor) -> Tensor:
    """Return which classes ``(m,)`` are cheaper to factorise than to iterate on, on the CPU."""
    n_support = (D > 0).sum(0).double().cpu()
    return n_support**3 / 3 <= CG_STEPS * 2.0 * D.shape[0] ** 2


def support_solution(design: Gram, loss: SquaredHinge, F: Tensor, bias: Tensor) -> Tensor:
    """Return each class's minimiser ``(n + 1, m)`` of the quadratic piece at scores `F`.

    Parameters
    ----------
    design : Gram
        Inner products of the training rows.
    loss : SquaredHinge
        The loss.
    F : torch.Tensor
        ``(n, m)`` scores whose support rows count.
    bias : torch.Tensor
        ``(m,)`` free bias, kept where a class has no support row.

    Returns
    -------
    torch.Tensor
        Coefficients in the design's coordinates.
    """
    D = loss.curvature(F).D
    solved = design.zeros(F.shape[1])
    solved[-1] = bias
    for k in range(F.shape[1]):
        rows = D[:, k].nonzero()[:, 0]
        if len(rows) == 0:
            continue
        A = design.K[rows[:, None], rows]
        if not design.bias.free:
            A += design.bias.scaling**2
        A.diagonal().add_(1 / D[rows, k])
        factor = _cholesky(A)
        y = loss.Y[rows, k].to(factor)
        if not design.bias.free:
            solved[rows, k] = torch.cholesky_solve(y[:, None], factor)[:, 0].to(F)
            continue
        both = torch.cholesky_solve(torch.stack([y, torch.ones_like(y)], 1), factor)
        b = both[:, 0].sum() / both[:, 1].sum()
        a = (both[:, 0] - b * both[:, 1]).to(F)
        solved[rows, k] = a
        solved[-1, k] = b + design.K[:, rows].mean(0) @ a
    return solved


def _cholesky(A: Tensor) -> Tensor:
    """Factorise in A's precision, or in float64 where A is too ill-conditioned for that."""
    factor, failed = torch.linalg.cholesky_ex(A)
    return torch.linalg.cholesky(A.double()) if failed else factor
