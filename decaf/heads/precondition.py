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

from decaf.heads.designs import Design

RANK = 96


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """Leading eigenpairs of ``X' X`` in a design's coordinates.

    Attributes
    ----------
    basis : torch.Tensor
        ``(n_params, rank)`` coefficients, orthonormal in the design's metric M.
    dual : torch.Tensor
        ``(n_params, rank)``, M times the basis.
    eigenvalues : torch.Tensor
        ``(rank,)``.
    free_bias : bool
        Whether the last row is a bias that is not penalised.
    n_rows : int
        Number of training rows.
    """

    basis: Tensor
    dual: Tensor
    eigenvalues: Tensor
    free_bias: bool
    n_rows: int

    def solve(self, r: Tensor, curvature: Tensor) -> Tensor:
        """Return the approximate solution for residuals ``(n_params, m)``.

        Parameters
        ----------
        r : torch.Tensor
            ``(n_params, m)``.
        curvature : torch.Tensor
            ``(m,)`` mean curvature of a row.

        Returns
        -------
        torch.Tensor
            ``(n_params, m)``.
        """
        gain = self.eigenvalues[:, None] * curvature
        along = self.dual.T @ r
        z = r - self.basis @ along
        # The last term once more takes out what rounding left of what 1 + gain scales down.
        z += self.basis @ (along / (1 + gain) - self.dual.T @ z)
        if self.free_bias:
            z[-1] = r[-1] / (self.n_rows * curvature).clamp(min=torch.finfo(r.dtype).tiny)
        return z


def nystroem(design: Design, rank: int = RANK) -> Preconditioner:
    """Approximate the leading eigenpairs of a design, a free bias left aside.

    Parameters
    ----------
    design : Design
        The training rows.
    rank : int
        Number of eigenpairs; fewer where the design has fewer dimensions.

    Returns
    -------
    Preconditioner
        The eigenpairs, by the Rayleigh-Ritz method on the image of random coefficients.
    """
    start = design.zeros(min(rank, design.n_params, design.n_rows))
    generator = torch.Generator().manual_seed(0)
    start += torch.randn(start.shape, generator=generator, dtype=start.dtype).to(start.device)
    Z = _penalised_part(design, start)
    Z = torch.linalg.qr(_penalised_part(design, design.adjoint(design.forward(Z)))).Q
    F = design.forward(Z)
    MZ = design.metric(Z, F)
    lengths, V = torch.linalg.eigh(Z.T @ MZ)
    keep = lengths > RANK * torch.finfo(Z.dtype).eps * lengths.max()
    whiten = V[:, keep] * lengths[keep].rsqrt()
    eigenvalues, Q = torch.linalg.eigh((F @ whiten).T @ (F @ whiten))
    turn = whiten @ Q
    return Preconditioner(
        Z @ turn, MZ @ turn, eigenvalues.clamp(min=0), design.bias.free, design.n_rows
    )


def _penalised_part(design: Design, params: Tensor) -> Tensor:
    if design.bias.free:
        params[-1] = 0
    return params
