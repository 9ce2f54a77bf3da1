"""Preconditioned conjugate gradients on the Newton systems of all classes at once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from decaf.heads.designs import Design, inner, penalised
from decaf.heads.losses import Curvature, Loss
from decaf.heads.precondition import Preconditioner

MAX_STEPS = 250
LEFT = 0.7
"""Groups leave the products once no more than this share of them is left, as slices are copies."""


@dataclass(frozen=True, eq=False)
class NewtonSystem:
    """The equations ``H step = -gradient`` of some classes.

    Attributes
    ----------
    design : Design
        The training rows.
    loss : Loss
        Says which classes are one group.
    curvature : Curvature
        Second derivative of the loss.
    gradient : torch.Tensor
        ``(n_params, m)``.
    objective : torch.Tensor
        ``(n_groups,)``, the scale that residuals are measured on.
    tol : float
        Relative distance from the least objective that is asked for in the end.
    """

    design: Design
    loss: Loss
    curvature: Curvature
    gradient: Tensor
    objective: Tensor
    tol: float

    def columns(self, classes: Tensor) -> "NewtonSystem":
        """Return the equations of some classes, each its own group."""
        return NewtonSystem(
            self.design,
            self.loss.columns(classes),
            self.curvature.columns(classes),
            self.gradient[:, classes],
            self.objective[classes],
            self.tol,
        )


def conjugate_gradients(
    system: NewtonSystem, preconditioner: Preconditioner
) -> tuple[Tensor, Tensor, Tensor]:
    """Return an inexact Newton step of every class and its change of the scores.

    A group stops when its residual has fallen to a share of the gradient that shrinks with the
    distance from the optimum, so that the steps converge superlinearly (Nocedal and Wright,
    "Numerical optimization", 2006, section 7.1), but no further than `tol` asks.

    Parameters
    ----------
    system : NewtonSystem
        The equations.
    preconditioner : Preconditioner
        Approximate inverse of the Hessian.

    Returns
    -------
    tuple of torch.Tensor
        The step ``(n_params, m)``, ``design.forward`` of it ``(n, m)``, and which groups stopped
        by this rule, ``(n_groups,)``.
    """
    design, loss, gradient = system.design, system.loss, system.gradient
    mean = system.curvature.mean()
    r = -gradient
    p = loss.visible(preconditioner.solve(r, mean))
    Fp = design.forward(p)
    step, change = torch.zeros_like(p), torch.zeros_like(Fp)
    rz = loss.total(inner(design, r, p, Fp))
    least = max(torch.finfo(rz.dtype).eps ** 0.5, min(system.tol, 0.01))
    goal = rz * (rz / (2 * system.objective)).square().clamp(least, 0.01).to(rz)
    met = (gradient == 0).all(0) if loss.n_groups > 1 else (gradient == 0).all().reshape(1)
    met = met.clone()
    on = torch.arange(len(met), device=met.device)  # groups that are still computed
    columns: Any = slice(None)
    for _ in range(MAX_STEPS):
        Hp = penalised(design, p) + design.adjoint(system.curvature.product(Fp))
        pHp = loss.total(inner(design, Hp, p, Fp))
        length = torch.where((pHp > 0) & ~met[on], rz / pHp, 0.0)
        step[:, columns] += length * p
        change[:, columns] += length * Fp
        r -= length * Hp
        z = loss.visible(preconditioner.solve(r, mean))
        Fz = design.forward(z)
        new = loss.total(inner(design, r, z, Fz))
        met[on] |= new <= goal
        if met.all():
            break
        ratio = torch.where(met[on], 0.0, new / rz)
        p = z + ratio * p
        Fp = Fz + ratio * Fp
        rz = new
        left = (~met[on]).nonzero()[:, 0]
        if len(left) <= LEFT * len(on):
            on = columns = on[left]
            system = system.columns(left)
            loss, p, Fp, r = system.loss, p[:, left], Fp[:, left], r[:, left]
            rz, goal, mean = rz[left], goal[left], mean[left]
    return step, change, met
