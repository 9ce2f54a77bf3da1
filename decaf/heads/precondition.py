"""A low-rank preconditioner of the Newton systems of linear heads.

The Hessian of one class is ``I + X' D X``. With ``D`` near its mean ``k`` and the leading
eigenpairs ``U, s`` of ``X' X`` at hand, ``I + k U diag(s) U'`` takes out what makes the system
ill-conditioned, and its inverse costs two thin products. The eigenpairs come from a randomised
Nystroem approximation, once for all classes, values of C and Newton steps.

References
----------
Z. Frangella, J. A. Tropp and M. Udell, "Randomized Nystroem preconditioning", SIAM Journal on
Matrix Analysis and Applications 44, 2023 (algorithm 2.1).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from decaf.heads.designs import Design, Rows

RANK = 96


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """Leading eigenpairs of the design's ``adjoint(forward(.))``.

    Attributes
    ----------
    basis : torch.Tensor
        ``(n_params, rank)`` orthonormal eigenvectors.
    eigenvalues : torch.Tensor
        ``(rank,)``.
    """

    basis: Tensor
    eigenvalues: Tensor
    free_bias: bool
    n_rows: int

    def solve(self, r: Tensor, curvature: Tensor) -> Tensor:
        """Return ``M^-1 r`` for residuals ``(n_params, m)`` and mean curvatures ``(m,)``."""
        gain = self.eigenvalues[:, None] * curvature
        z = r - self.basis @ ((gain / (1 + gain)) * (self.basis.T @ r))
        if self.free_bias:
            z[-1] = r[-1] / (self.n_rows * curvature).clamp(min=torch.finfo(r.dtype).tiny)
        return z


def nystroem(design: Design, rank: int = RANK) -> Preconditioner:
    """Approximate the leading eigenpairs of a design, the free bias left aside.

    Parameters
    ----------
    design : Design
        The training rows.
    rank : int
        Number of eigenpairs; fewer where the design has fewer dimensions.

    Returns
    -------
    Preconditioner
        The eigenpairs.
    """
    n_side = (
        design.n_params - 1 if design.bias.free or not isinstance(design, Rows) else design.n_params
    )
    rank = min(rank, n_side, design.n_rows)
    generator = torch.Generator().manual_seed(0)
    like = design.zeros(1)
    sketch = torch.zeros((design.n_params, rank), dtype=like.dtype)
    sketch[:n_side] = torch.linalg.qr(
        torch.randn((n_side, rank), generator=generator, dtype=like.dtype)
    ).Q
    sketch = sketch.to(like.device)
    image = _gram_product(design, sketch)
    shift = torch.finfo(like.dtype).eps * image.norm() + torch.finfo(like.dtype).tiny
    image = image + shift * sketch
    core = torch.linalg.cholesky((sketch.T @ image).double().cpu()).to(like)
    factor = torch.linalg.solve_triangular(core, image.T, upper=False).T
    U, s, _ = torch.linalg.svd(factor, full_matrices=False)
    return Preconditioner(U, (s**2 - shift).clamp(min=0), design.bias.free, design.n_rows)


def _gram_product(design: Design, params: Tensor) -> Tensor:
    image = design.adjoint(design.forward(params))
    if design.bias.free:
        image[-1] = 0
    return image
