"""Preconditioned conjugate gradients on the Newton systems of all classes at once."""

import torch
from torch import Tensor

from decaf.heads.designs import Design, penalised
from decaf.heads.losses import Curvature, Loss
from decaf.heads.precondition import Preconditioner

MAX_STEPS = 250
COMPACT = 0.75  # share of live groups under which the finished ones leave the products


def conjugate_gradients(
    design: Design,
    loss: Loss,
    curvature: Curvature,
    gradient: Tensor,
    objective: Tensor,
    preconditioner: Preconditioner,
) -> tuple[Tensor, Tensor]:
    """Return an inexact Newton step of every class and its change of the scores.

    A group stops when its residual has fallen to a share of the gradient that shrinks with the
    distance from the optimum, so that the steps converge superlinearly (Nocedal and Wright,
    "Numerical optimization", 2006, section 7.1).

    Parameters
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
        ``(n_groups,)``, the scale that the residual is measured on.
    preconditioner : Preconditioner
        Approximate inverse of the Hessian.

    Returns
    -------
    tuple of torch.Tensor
        The step ``(n_params, m)`` and ``design.forward`` of it ``(n, m)``.
    """
    mean = curvature.mean()
    r = -gradient
    p = loss.visible(preconditioner.solve(r, mean))
    Fp = design.forward(p)
    x, Fx = torch.zeros_like(p), torch.zeros_like(Fp)
    step, change = x, Fx
    live = torch.arange(len(objective), device=r.device)
    rz = loss.total(design.inner(r, p, Fp))
    least = torch.finfo(rz.dtype).eps ** 0.5
    goal = rz * (rz / (2 * objective)).square().clamp(least, 0.01).to(rz)
    for _ in range(MAX_STEPS):
        Hp = penalised(design, p) + design.adjoint(curvature.product(Fp))
        pHp = loss.total(design.inner(Hp, p, Fp))
        length = torch.where(rz > goal, rz / pHp, 0.0)
        x += length * p
        Fx += length * Fp
        r -= length * Hp
        z = loss.visible(preconditioner.solve(r, mean))
        Fz = design.forward(z)
        new = loss.total(design.inner(r, z, Fz))
        busy = new > goal
        if not busy.any():
            break
        p = z + (new / rz) * p
        Fp = Fz + (new / rz) * Fp
        rz = new
    return step, change
