"""Newton's method for all classes of a linear head at once.

The problem, for n rows, d features and m classes (:mod:`decaf.heads.losses` has the shapes)::

    minimise  P(W, b) = 1/2 ||W||^2 + sum over rows and classes of C * weight * loss(Y, F)
              F = X W + 1 b'
    gradient  W + X' R                 R = d loss / d F
    Hessian   V -> V + X' (D (X V))    D = d R / d F; on the squared hinge 2 C weight on the
                                       support rows (Y F < 1) and 0 elsewhere

Each step solves the Newton system by preconditioned conjugate gradients, whose products are
matrix products over all classes that have not converged; or exactly, for the squared hinge where
a class has few support rows or is too ill-conditioned (:mod:`decaf.heads.support`). Backtracking
keeps each step a descent. A group of classes has converged when it took a full step, its system
solved, whose Newton decrement ``-1/2 <gradient, step>``, an estimate of how far the objective was
above its minimum, was at most ``tol`` times the objective.

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

from decaf.heads.conjugate import NewtonSystem, conjugate_gradients
from decaf.heads.designs import Design, inner, penalised
from decaf.heads.losses import Diagonal, Loss
from decaf.heads.precondition import Preconditioner
from decaf.heads.support import can_factorise, cheap_to_factorise, exact_step

MAX_HALVINGS = 30
MAX_UNSOLVED = 5
"""Steps of a group whose systems conjugate gradients could not solve, before it is given up."""
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
        Relative distance from the least objective at which one more step is the last.
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
    unsolved = torch.zeros_like(objective, dtype=torch.int64)
    active = torch.arange(loss.n_groups, device=F.device)
    n_iter = 0
    while len(active) and n_iter < max_iter:
        columns = active if loss.n_groups > 1 else slice(None)
        part, p, f = loss.columns(active), P[:, columns], F[:, columns]
        gradient = penalised(design, p) + design.adjoint(part.gradient(f))
        system = NewtonSystem(design, part, part.curvature(f), gradient, objective[active], tol)
        step, change, solved = _newton_step(system, p, f, preconditioner)
        slope = part.total(inner(design, gradient, step, change)).double()
        length, drop = _line_search(system, p, f, step, change, slope=slope)
        P[:, columns] = p + _times(length, step)
        F[:, columns] = f + _times(length, change)
        objective[active] -= drop
        done = solved & (-slope / 2 <= tol * objective[active]) & (length == 1)
        converged[active[done]] = True
        unsolved[active] += ~solved
        stalled = ~(drop > _rounding(F, objective[active])) | (unsolved[active] >= MAX_UNSOLVED)
        active = active[~done & ~stalled]
        n_iter += 1
    return _report(design, loss, P, converged, n_iter)


def _times(length: Tensor, step: Tensor) -> Tensor:
    """Return the product, 0 where the length is, even if the step is not finite."""
    return torch.where(length > 0, length.to(step) * step, 0)


def _report(design: Design, loss: Loss, P: Tensor, converged: Tensor, n_iter: int) -> Solution:
    """Measure objective and gradient afresh: rounding piled up in the scores over the steps."""
    F = design.forward(P)
    gradient = penalised(design, P) + design.adjoint(loss.gradient(F))
    squared = loss.total(inner(design, gradient, gradient, design.forward(gradient)))
    return Solution(
        params=P,
        objective=_objective(design, loss, P, F),
        gradient_norm=squared.clamp(min=0).sqrt(),
        converged=converged,
        n_iter=n_iter,
    )


def _objective(design: Design, loss: Loss, P: Tensor, F: Tensor) -> Tensor:
    return loss.total(inner(design, penalised(design, P), P, F)).double() / 2 + loss.value(F)


def _rounding(F: Tensor, objective: Tensor) -> Tensor:
    """Return a change of the objective that may be nothing but rounding."""
    return 4 * torch.finfo(F.dtype).eps * objective


def _newton_step(
    system: NewtonSystem, P: Tensor, F: Tensor, preconditioner: Preconditioner
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the step ``-H^-1 gradient``, its change of the scores, and where it was solved."""
    design, curvature = system.design, system.curvature
    if not (can_factorise(design, system.loss) and isinstance(curvature, Diagonal)):
        return conjugate_gradients(system, preconditioner)
    step, change = torch.zeros_like(P), torch.zeros_like(F)
    direct = cheap_to_factorise(design, curvature.D)
    rest = (~direct).nonzero()[:, 0]
    if len(rest):
        step[:, rest], change[:, rest], met = conjugate_gradients(
            system.columns(rest), preconditioner
        )
        direct[rest[~met]] = True
    chosen = direct.nonzero()[:, 0]
    if len(chosen):
        part, D = system.columns(chosen), curvature.D[:, chosen]
        step[:, chosen] = exact_step(
            design, part.loss, D, gradient=part.gradient, P=P[:, chosen], F=F[:, chosen]
        )
        change[:, chosen] = design.forward(step[:, chosen])
    return step, change, torch.ones_like(direct)


def _line_search(
    system: NewtonSystem, P: Tensor, F: Tensor, step: Tensor, change: Tensor, *, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """Halve each group's step until it descends; 0 where rounding leaves nothing to gain.

    Returns the lengths ``(n_groups,)`` and by how much the objective falls.
    """
    design, loss = system.design, system.loss
    flat = penalised(design, step)
    linear = loss.total(inner(design, flat, P, F)).double()
    square = loss.total(inner(design, flat, step, change)).double()
    before = loss.value(F)
    rounding = _rounding(F, system.objective)
    length = torch.ones_like(slope)
    drop = torch.zeros_like(slope)
    for _ in range(MAX_HALVINGS):
        after = loss.value(F + length.to(F) * change)
        drop = before - after - length * linear - length**2 * square / 2
        short = ~(drop >= -ARMIJO * length * slope - rounding)  # one that is not finite is short
        if not short.any():
            return length, drop
        length = torch.where(short, length / 2, length)
    return torch.where(short, 0.0, length), torch.where(short, 0.0, drop)
