"""Newton's method for all classes of a linear head at once.

The problem, for n rows, d features and m classes (:mod:`decaf.heads.losses` has the shapes)::

    minimise  P(W, b) = 1/2 ||W||^2 + sum over rows and classes of C * weight * loss(Y, F)
              F = X W + 1 b'
    gradient  W + X' R                 R = d loss / d F
    Hessian   V -> V + X' (D (X V))    D = d R / d F; on the squared hinge 2 C weight on the
                                       support rows (Y F < 1) and 0 elsewhere

Each step solves the Newton system by preconditioned conjugate gradients, whose products are
matrix products over all classes that have not converged, or, for the squared hinge where a class
has few support rows, exactly (:mod:`decaf.heads.support`). Backtracking keeps each step a
descent. A group of classes has converged when it took a full step whose Newton decrement
``-1/2 <gradient, step>``, an estimate of how far the objective is above its minimum, was at most
``tol`` times the objective.

References
----------
S. S. Keerthi and D. DeCoste, "A modified finite Newton method for fast solution of large scale
linear SVMs", JMLR 6, 2005 (sections 2 and 3).
O. Chapelle, "Training a support vector machine in the primal", Neural Computation 19, 2007.
C.-J. Lin, R. C. Weng and S. S. Keerthi, "Trust region Newton method for large-scale logistic
regression", JMLR 9, 2008.
S. Boyd and L. Vandenberghe, "Convex optimization", 2004, section 9.5.1 (the decrement).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from decaf.heads.conjugate import conjugate_gradients
from decaf.heads.designs import Design, Gram, penalised
from decaf.heads.losses import Loss, SquaredHinge
from decaf.heads.precondition import Preconditioner
from decaf.heads.support import few_support_rows, support_solution

MAX_HALVINGS = 30
ARMIJO = 1e-4


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients and how good they are.

    Attributes
    ----------
    params : torch.Tensor
        ``(n_params, m)`` in the design's coordinates.
    objective, gradient_norm : torch.Tensor
        ``(n_groups,)`` at `params`.
    converged : torch.Tensor
        ``(n_groups,)`` whether the stopping rule was met.
    n_iter : int
        Newton steps taken.
    """

    params: Tensor
    objective: Tensor
    gradient_norm: Tensor
    converged: Tensor
    n_iter: int


def minimise(
    design: Design,
    loss: Loss,
    start: Tensor,
    preconditioner: Preconditioner,
    *,
    tol: float,
    max_iter: int,
) -> Solution:
    """Return the minimiser of ``1/2 ||W||^2 + loss``.

    Parameters
    ----------
    design : Design
        The training rows.
    loss : Loss
        The loss of their scores.
    start : torch.Tensor
        ``(n_params, m)`` coefficients to start at.
    preconditioner : Preconditioner
        Speeds up the conjugate gradients.
    tol : float
        Relative distance from the least objective.
    max_iter : int
        Most Newton steps.

    Returns
    -------
    Solution
        The coefficients; `converged` says for which groups the rule was met.
    """
    P = start.clone()
    F = design.forward(P)
    objective = _objective(design, loss, P, F)
    converged = torch.zeros_like(objective, dtype=torch.bool)
    active = torch.arange(loss.n_groups, device=F.device)
    n_iter = 0
    while len(active) and n_iter < max_iter:
        columns = active if loss.n_groups > 1 else slice(None)
        part, p, f = loss.columns(active), P[:, columns], F[:, columns]
        gradient = penalised(design, p) + design.adjoint(part.gradient(f))
        step, change = _newton_step(design, part, p, f, gradient, objective[active], preconditioner)
        slope = part.total(design.inner(gradient, step, change)).double()
        length, drop = _line_search(design, part, p, f, step, change, slope, objective[active])
        P[:, columns] = p + length.to(p) * step
        F[:, columns] = f + length.to(f) * change
        objective[active] -= drop
        done = (-slope / 2 <= tol * objective[active]) & (length == 1)
        converged[active[done]] = True
        active = active[~done & (length > 0)]
        n_iter += 1
    return _report(design, loss, P, converged, n_iter)


def _report(design: Design, loss: Loss, P: Tensor, converged: Tensor, n_iter: int) -> Solution:
    """Measure objective and gradient afresh: rounding piled up in the scores over the steps."""
    F = design.forward(P)
    gradient = penalised(design, P) + design.adjoint(loss.gradient(F))
    squared = loss.total(design.inner(gradient, gradient, design.forward(gradient)))
    return Solution(
        params=P,
        objective=_objective(design, loss, P, F),
        gradient_norm=squared.clamp(min=0).sqrt(),
        converged=converged,
        n_iter=n_iter,
    )


def _objective(design: Design, loss: Loss, P: Tensor, F: Tensor) -> Tensor:
    return loss.total(design.inner(penalised(design, P), P, F)).double() / 2 + loss.value(F)


def _newton_step(
    design: Design,
    loss: Loss,
    P: Tensor,
    F: Tensor,
    gradient: Tensor,
    objective: Tensor,
    preconditioner: Preconditioner,
) -> tuple[Tensor, Tensor]:
    """Return the step ``H^-1 (-gradient)`` and its change of the scores."""
    curvature = loss.curvature(F)
    if not (isinstance(design, Gram) and isinstance(loss, SquaredHinge)):
        return conjugate_gradients(design, loss, curvature, gradient, objective, preconditioner)
    few = few_support_rows(loss.curvature(F).D)
    step, change = torch.zeros_like(P), torch.zeros_like(F)
    direct, rest = few.nonzero()[:, 0], (~few).nonzero()[:, 0]
    if len(direct):
        solved = support_solution(design, loss.columns(direct), F[:, direct], P[-1, direct])
        step[:, direct] = solved - P[:, direct]
        change[:, direct] = design.forward(step[:, direct])
    if len(rest):
        step[:, rest], change[:, rest] = conjugate_gradients(
            design,
            loss.columns(rest),
            curvature.columns(rest),
            gradient[:, rest],
            objective[rest],
            preconditioner,
        )
    return step, change


def _line_search(
    design: Design,
    loss: Loss,
    P: Tensor,
    F: Tensor,
    step: Tensor,
    change: Tensor,
    slope: Tensor,
    objective: Tensor,
) -> tuple[Tensor, Tensor]:
    """Halve each group's step until it descends; 0 where rounding leaves nothing to gain.

    Returns the lengths ``(n_groups,)`` and by how much the objective falls.
    """
    flat = penalised(design, step)
    linear = loss.total(design.inner(flat, P, F)).double()
    square = loss.total(design.inner(flat, step, change)).double()
    before = loss.value(F)
    rounding = 4 * torch.finfo(F.dtype).eps * objective
    length = torch.ones_like(slope)
    drop = torch.zeros_like(slope)
    for _ in range(MAX_HALVINGS):
        after = loss.value(F + length.to(F) * change)
        drop = before - after - length * linear - length**2 * square / 2
        short = drop < -ARMIJO * length * slope - rounding
        if not short.any():
            return length, drop
        length = torch.where(short, length / 2, length)
    return torch.where(short, 0.0, length), torch.where(short, 0.0, drop)
