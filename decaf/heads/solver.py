"""Newton's method for all classes of a linear head at once, along a path of C.

The problem, for n rows, d features and m classes (:mod:`decaf.heads.losses` has the shapes)::

    minimise  P(W, b) = 1/2 ||W||^2 + sum over rows and classes of C * weight * loss(Y, F)
              F = X W + 1 b'
    gradient  W + X' R                 R = d loss / d F
    Hessian   V -> V + X' (D (X V))    D = d R / d F; on the squared hinge 2 C weight on the
                                       support rows (Y F < 1) and 0 elsewhere

Each step solves the Newton system by preconditioned conjugate gradients, whose products are
matrix products over all classes that have not converged; or exactly, for the squared hinge where
a class has few support rows (:mod:`decaf.heads.conditioning`).
Backtracking keeps each step a descent. A group of classes has converged when it took a full step,
its system solved, whose Newton decrement ``-1/2 <gradient, step>``, an estimate of how far the
objective was above its minimum, was at most ``tol`` times the objective.

References
----------
S. S. Keerthi and D. DeCoste, "A modified finite Newton method for fast solution of large scale
linear SVMs", JMLR 6, 2005 (sections 2 and 3).
C.-J. Lin, R. C. Weng and S. S. Keerthi, "Trust region Newton method for large-scale logistic
regression", JMLR 9, 2008.
S. Boyd and L. Vandenberghe, "Convex optimization", 2004, section 9.5.1 (the decrement).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from decaf.heads.conditioning import (
    Preconditioner,
    can_factorise,
    cheap_to_factorise,
    exact_step,
    nystroem,
)
from decaf.heads.designs import Design, Gram, TrainingSet, inner, penalised
from decaf.heads.losses import Loss, LossType
from decaf.heads.targets import Targets

DEFAULT_TOL = {torch.float32: 1e-4, torch.float64: 1e-10}
"""As the last step about squares the distance that is left, these end at the rounding error."""
ROUGH_TOL = {torch.float32: 1e-2, torch.float64: 1e-6}
"""For fits that are only to be compared: objectives are within a percent of their minima."""
WARM_UP_TOL = 0.1
MAX_HALVINGS = 30
ARMIJO = 1e-4
MAX_UNSOLVED = 5
"""Steps of a group whose systems conjugate gradients could not solve, before it is given up."""
MAX_PRODUCTS = 250
LEFT = 0.7
"""Groups leave the products once no more than this share of them is left, as slices are copies."""


@dataclass(frozen=True, eq=False)
class Solution:
    """Coefficients ``(n_params, m)``, and how good they are, group by group.

    Of rough solutions the gradient is not measured.
    """

    params: Tensor
    objective: Tensor
    converged: Tensor
    n_iter: int
    gradient_norm: Tensor = field(default_factory=lambda: torch.tensor(math.nan))


@dataclass(frozen=True)
class Solver:
    """What a linear head asks of the solver.

    `tol` is the relative distance from the least objective before the last step; None is 1e-4 for
    float32 features and 1e-10 for float64. `max_iter` is the most Newton steps for a value of C.
    """

    loss: LossType
    tol: float | None
    max_iter: int

    def path(
        self,
        training: TrainingSet,
        targets: Targets,
        Cs: Sequence[float],
        start: Tensor | None = None,
        *,
        rough: bool = False,
    ) -> Iterator[tuple[float, Solution]]:
        """Yield each C, in ascending order, with its solution; each starts at the last one.

        Where float32 is not enough for a C to converge, the path goes on in float64, as long as
        that takes no large copy of the features.

        Solutions that are *rough* are only to be compared with each other. `start` has
        ``(n_params, m)`` coefficients.
        """
        tol = self.tol or (ROUGH_TOL if rough else DEFAULT_TOL)[training.samples.dtype]
        problem = _Problem(self, training.design, targets)
        start = problem.warm_up(min(Cs)) if start is None else start
        for C in sorted(Cs):
            solution = problem.solve(C, start, tol)
            if not solution.converged.all() and problem.zeros.dtype == torch.float32:
                design = training.double_design()
                if design is not None:
                    problem = _Problem(self, design, targets)
                    solution = problem.solve(C, solution.params.double(), tol)
            if not rough:
                solution = problem.measured(C, solution)
            start = solution.params
            yield C, solution


class _Problem:
    """A design, its labels and its preconditioner."""

    def __init__(self, solver: Solver, design: Design, targets: Targets) -> None:
        self.solver, self.design = solver, design
        self.zeros = design.zeros(targets.n_columns)
        self.signs, self.weight = targets.tensors(self.zeros.device, self.zeros.dtype)
        self.preconditioner = nystroem(design)

    def loss(self, C: float) -> Loss:
        """Return the loss for one C."""
        return self.solver.loss(self.signs, self.weight, float(C))

    def solve(self, C: float, start: Tensor, tol: float) -> Solution:
        """Return the solution for one C."""
        most = self.solver.max_iter
        return _minimise(
            self.design, self.loss(C), start, self.preconditioner, tol=tol, max_iter=most
        )

    def measured(self, C: float, solution: Solution) -> Solution:
        """Return the same, measured afresh: rounding piles up in the scores over the steps."""
        design, loss, P = self.design, self.loss(C), solution.params
        F = design.forward(P)
        gradient = penalised(design, P) + design.adjoint(loss.gradient(F))
        squared = loss.total(inner(design, gradient, gradient))
        return replace(
            solution,
            objective=_objective(design, loss, P, F),
            gradient_norm=squared.clamp(min=0).sqrt(),
        )

    def warm_up(self, C: float) -> Tensor:
        """Return a start for `C`, by way of smaller values.

        At a hundred over the largest eigenvalue of ``X' X`` the penalty still weighs much, and the
        problem is easy. A start at 0 makes every row a support row, which is hard at a large C.
        """
        eigenvalues = self.preconditioner.eigenvalues
        start = self.zeros
        if not len(eigenvalues) or not float(eigenvalues.max()):
            return start
        steps = math.ceil(math.log10(C) + math.log10(float(eigenvalues.max()) / 100))
        for k in range(steps, 0, -1):
            solution = self.solve(C / 10**k, start, WARM_UP_TOL)
            start = solution.params
            if not solution.converged.any():  # nor would any larger value
                break
        return start


def _minimise(
    design: Design,
    loss: Loss,
    start: Tensor,
    preconditioner: Preconditioner,
    *,
    tol: float,
    max_iter: int,
) -> Solution:
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
        system = _System(design, part, part.curvature(f), gradient, objective[active], tol)
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
    return Solution(P, objective, converged, n_iter)


def _times(length: Tensor, step: Tensor) -> Tensor:
    """Return the product, 0 where the length is, even if the step is not finite."""
    return torch.where(length > 0, length.to(step) * step, 0)


def _objective(design: Design, loss: Loss, P: Tensor, F: Tensor) -> Tensor:
    return loss.total(inner(design, penalised(design, P), P, F)).double() / 2 + loss.value(F)


def _rounding(F: Tensor, objective: Tensor) -> Tensor:
    """Return a change of the objective that may be nothing but rounding."""
    return 4 * torch.finfo(F.dtype).eps * objective


@dataclass(frozen=True, eq=False)
class _System:
    """The equations ``H step = -gradient`` of some classes, and what is asked of their solution."""

    design: Design
    loss: Loss
    D: Tensor
    """The curvature of the loss at the scores."""
    gradient: Tensor
    objective: Tensor
    tol: float

    def columns(self, classes: Tensor) -> "_System":
        """Return the equations of some classes, each its own group."""
        return _System(
            self.design,
            self.loss.columns(classes),
            self.D[:, classes],
            self.gradient[:, classes],
            self.objective[classes],
            self.tol,
        )


def _newton_step(
    system: _System, P: Tensor, F: Tensor, preconditioner: Preconditioner
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the step ``-H^-1 gradient``, its change of the scores, and where it was solved."""
    design, D = system.design, system.D
    if not can_factorise(design, system.loss):
        return _conjugate_gradients(system, preconditioner)
    step, change = torch.zeros_like(P), torch.zeros_like(F)
    solved = cheap_to_factorise(design, D)
    exact, rest = (part.nonzero()[:, 0] for part in (solved, ~solved))
    if len(exact):
        part = system.columns(exact)
        step[:, exact] = exact_step(design, part.loss, part.D, part.gradient, P[:, exact])
        change[:, exact] = design.forward(step[:, exact])
    if len(rest):
        found = _conjugate_gradients(system.columns(rest), preconditioner)
        step[:, rest], change[:, rest], solved[rest] = found
    return step, change, solved


def _line_search(
    system: _System, P: Tensor, F: Tensor, step: Tensor, change: Tensor, *, slope: Tensor
) -> tuple[Tensor, Tensor]:
    """Halve each group's step until it descends; 0 where rounding leaves nothing to gain.

    One that is to gain no more than a thousandth of `tol` is whole, as rounding may hide it.

    Returns the lengths ``(n_groups,)`` and by how much the objective falls.
    """
    design, loss = system.design, system.loss
    flat = penalised(design, step)
    linear = loss.total(inner(design, flat, P, F)).double()
    square = loss.total(inner(design, flat, step, change)).double()
    before = loss.value(F)
    rounding = _rounding(F, system.objective)
    gains = -slope / 2 > 1e-3 * system.tol * system.objective
    length, drop = torch.ones_like(slope), torch.zeros_like(slope)
    for _ in range(MAX_HALVINGS):
        after = loss.value(F + length.to(F) * change)
        drop = before - after - length * linear - length**2 * square / 2
        # one that is not finite is short
        short = ~(drop >= -ARMIJO * length * slope - rounding) & (gains | ~drop.isfinite())
        if not short.any():
            return length, drop
        length = torch.where(short, length / 2, length)
    return torch.where(short, 0.0, length), torch.where(short, 0.0, drop)


def _conjugate_gradients(
    system: _System, preconditioner: Preconditioner
) -> tuple[Tensor, Tensor, Tensor]:
    """Return an inexact Newton step, its change of the scores, and which groups are solved.

    A group is when its residual has fallen to a share of the gradient that shrinks with the
    distance from the optimum, so that the steps converge superlinearly (Nocedal and Wright,
    "Numerical optimization", 2006, section 7.1); of fits that are not to the end, to no less than
    leaves a thousandth of `tol`.
    """
    design, loss, gradient = system.design, system.loss, system.gradient
    mean = loss.mean_curvature(system.D)
    r = -gradient
    p = loss.visible(preconditioner.solve(r, mean))
    Fp = design.forward(p)
    step, change = torch.zeros_like(p), torch.zeros_like(Fp)
    rz = loss.total(inner(design, r, p, Fp))
    distance = rz / (2 * system.objective)
    eps = torch.finfo(rz.dtype).eps
    share = distance
    if system.tol > eps**0.5:  # only compared with others
        share = torch.maximum(0.1 * distance.sqrt(), 1e-3 * system.tol / distance)
    goal = rz * share.clamp(eps**0.5, 0.01).to(rz)
    met = (gradient == 0).all(0) if loss.n_groups > 1 else (gradient == 0).all().reshape(1)
    met = met.clone()
    on = torch.arange(len(met), device=met.device)  # groups that are still computed
    columns: Any = slice(None)
    for _ in range(MAX_PRODUCTS):
        Hp = penalised(design, p) + design.adjoint(loss.hessian(system.D, Fp))
        pHp = loss.total(inner(design, Hp, p, Fp))
        length = torch.where((pHp > 0) & ~met[on], rz / pHp, 0.0)
        step[:, columns] += length * p
        change[:, columns] += length * Fp
        r -= length * Hp
        z = loss.visible(preconditioner.solve(r, mean))
        Fz = design.forward(z) if isinstance(design, Gram) else None
        new = loss.total(inner(design, r, z, Fz))
        met[on] |= new <= goal
        if met.all():
            break
        ratio = torch.where(met[on], 0.0, new / rz)
        rz = new
        left = (~met[on]).nonzero()[:, 0]
        if len(left) <= LEFT * len(on):
            on = columns = on[left]
            system = system.columns(left)
            loss, p, Fp, r, z = system.loss, p[:, left], Fp[:, left], r[:, left], z[:, left]
            Fz = None if Fz is None else Fz[:, left]
            rz, goal, mean, ratio = rz[left], goal[left], mean[left], ratio[left]
        p = z + ratio * p
        Fp = design.forward(p) if Fz is None else Fz + ratio * Fp
    return step, change, met
