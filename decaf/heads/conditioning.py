"""What makes ill-conditioned Newton systems easy: exact steps, and a preconditioner.

*Exact steps.* On the rows S short of their margin the squared hinge is quadratic, and the
minimiser of that piece is a ridge regression: with ``W = X_S' a`` and ``D = 2 C weight``::

    (X_S X_S' + D^-1) a + b 1 = y_S        and, where the bias is free, 1' a = 0

(Chapelle 2007, section 3.3; a is 0 off the support rows). With fewer features than support rows,
and for any loss of the margins, the step is ``-H^-1 gradient`` with ``H = I + X' D X``. Either
way a class costs one factorisation, however badly its system is conditioned.

*Preconditioner.* With ``D`` near its mean ``k`` and the leading eigenpairs ``U, s`` of ``X' X`` at
hand, ``I + k U diag(s) U'`` takes out what makes the system ill-conditioned. The eigenpairs come
from a randomised Nystroem approximation, once for all classes, values of C and Newton steps.

References
----------
O. Chapelle, "Training a support vector machine in the primal", Neural Computation 19, 2007.
Z. Frangella, J. A. Tropp and M. Udell, "Randomized Nystroem preconditioning", SIAM Journal on
Matrix Analysis and Applications 44, 2023 (algorithm 2.1).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from decaf.heads.designs import Bias, Design, Gram, Rows, penalised
from decaf.heads.features import BLOCK_ROWS
from decaf.heads.losses import Loss, SquaredHinge

GRAM_STEPS = 6
ROWS_STEPS = 10
"""Products of conjugate gradients that a factorisation is weighed against, by the design."""
A_CLASS = 1e7
"""Operations that go by while a class is taken up by itself."""
RANK = 96


def can_factorise(design: Design, loss: Loss) -> bool:
    """Return whether there is an exact step: not for streamed features, nor a coupled loss."""
    if isinstance(design, Gram):
        return isinstance(loss, SquaredHinge)
    return isinstance(design.X, Tensor) and not loss.coupled


def cheap_to_factorise(design: Design, D: Tensor) -> Tensor:
    """Return which classes ``(m,)`` are cheaper to factorise than to iterate on, on the CPU."""
    n_support = (D > 0).sum(0).double()
    n, p = design.n_rows, design.n_params
    if isinstance(design, Gram):
        return n_support**3 / 3 <= GRAM_STEPS * 2.0 * n**2
    order = n_support.clamp(max=p)
    # rows are copied and scaled for a primal step, which takes about as long as their products
    products = torch.where(n_support < p, 2.0, 4.0) * n_support * p * order
    return A_CLASS + products + order**3 / 3 <= ROWS_STEPS * 4.0 * n * p


def exact_step(design: Design, loss: Loss, D: Tensor, gradient: Tensor, P: Tensor) -> Tensor:
    """Return each class's Newton step ``(n_params, m)``, by the smaller of its two systems.

    `D` ``(n, m)`` is the second derivative of a loss that :func:`can_factorise` with the design;
    `gradient` and `P` are ``(n_params, m)``.
    """
    step = torch.empty_like(P)
    for k in range(P.shape[1]):
        support = D[:, k].nonzero()[:, 0]
        if isinstance(design, Gram) or (
            isinstance(loss, SquaredHinge) and len(support) < design.n_params
        ):
            Y = loss.Y[support, k]
            step[:, k] = _ridge_minimiser(design, support, Y, D[support, k], P[-1, k]) - P[:, k]
        else:
            step[:, k] = _primal_step(design, support, D[support, k], gradient[:, k])
    return step


def _ridge_minimiser(design: Design, support: Tensor, y: Tensor, D: Tensor, bias: Tensor) -> Tensor:
    """Return the minimiser ``(n_params,)`` of a class's quadratic piece.

    A free bias is kept where a class has no support row.
    """
    solved = design.zeros(1)[:, 0]
    solved[-1] = bias
    if not len(support):
        return solved
    if isinstance(design, Gram):
        a, b = _ridge(lambda: design.K[support[:, None], support], y, D, design.bias)
        solved[support] = a
        if design.bias.free:
            solved[-1] = b + design.K[:, support].mean(0) @ a
    else:
        Z = design.features(support)[:, :-1]
        a, solved[-1] = _ridge(lambda: Z @ Z.T, y, D, design.bias)
        solved[:-1] = Z.T @ a
    return solved


def _ridge(K: Callable[[], Tensor], y: Tensor, D: Tensor, bias: Bias) -> tuple[Tensor, Tensor]:
    """Return dual coefficients ``(n_s,)`` and the bias's own coefficient."""
    constant = 0.0 if bias.free else bias.scaling**2
    a, one = _solve(K, 1 / D, constant, torch.stack([y, torch.ones_like(y)], 1)).T
    if not bias.free:
        return a, bias.scaling * a.sum()
    b = a.sum() / one.sum()
    return a - b * one, b


def _primal_step(design: Rows, support: Tensor, D: Tensor, gradient: Tensor) -> Tensor:
    def products() -> Tensor:
        A = D.new_zeros((design.n_params, design.n_params))
        for rows, d in zip(
            torch.split(support, BLOCK_ROWS), torch.split(D, BLOCK_ROWS), strict=True
        ):
            Z = design.features(rows).mul_(d.sqrt()[:, None])
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


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """Leading eigenpairs of ``X' X`` in a design's coordinates, a free bias left aside.

    The basis ``(n_params, rank)`` is orthonormal in the design's metric M; `dual` is M times it.
    """

    basis: Tensor
    dual: Tensor
    eigenvalues: Tensor
    free_bias: bool
    n_rows: int

    def solve(self, r: Tensor, curvature: Tensor) -> Tensor:
        """Return the approximate solution for residuals and the mean curvature of a row."""
        gain = self.eigenvalues[:, None] * curvature
        along = self.dual.T @ r
        z = r - self.basis @ along
        # The last term once more takes out what rounding left of what 1 + gain scales down.
        z += self.basis @ (along / (1 + gain) - self.dual.T @ z)
        if self.free_bias:
            z[-1] = r[-1] / (self.n_rows * curvature).clamp(min=torch.finfo(r.dtype).tiny)
        return z


def nystroem(design: Design, rank: int = RANK) -> Preconditioner:
    """Approximate leading eigenpairs by Rayleigh and Ritz on the image of random coefficients."""
    start = design.zeros(min(rank, design.n_params, design.n_rows))
    generator = torch.Generator().manual_seed(0)
    start += torch.randn(start.shape, generator=generator, dtype=start.dtype).to(start.device)
    image = design.adjoint(design.forward(penalised(design, start)))
    # of fewer columns than asked for QR makes up the last, which may be the free bias itself
    Z = penalised(design, torch.linalg.qr(penalised(design, image)).Q)
    F = design.forward(Z)
    MZ = design.metric(Z, F)
    lengths, V = torch.linalg.eigh(Z.T @ MZ)
    keep = lengths > RANK * torch.finfo(Z.dtype).eps * lengths.max()
    whiten = V[:, keep] * lengths[keep].rsqrt()
    eigenvalues, Q = torch.linalg.eigh((F @ whiten).T @ (F @ whiten))
    turn, free = whiten @ Q, design.bias.free
    return Preconditioner(Z @ turn, MZ @ turn, eigenvalues.clamp(min=0), free, design.n_rows)
