"""Fits along a path of C, sharing the design, its preconditioner and the starting point."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from decaf.heads.designs import Design
from decaf.heads.losses import LossType
from decaf.heads.newton import Solution, minimise
from decaf.heads.precondition import nystroem
from decaf.heads.samples import TrainingSet
from decaf.heads.targets import Targets

DEFAULT_TOL = {torch.float32: 1e-4, torch.float64: 1e-10}
"""As the last step about squares the distance that is left, these end at the rounding error."""
ROUGH_TOL = {torch.float32: 1e-2, torch.float64: 1e-6}
"""For fits that are only to be compared: objectives are within a percent of their minima."""

WARM_UP_TOL = 1e-2


@dataclass(frozen=True)
class Solver:
    """What a linear head asks of the solver.

    Attributes
    ----------
    loss : callable
        Makes the loss of signs, weight and C.
    tol : float or None
        Relative distance from the least objective before the last step; None is 1e-4 for float32
        features and 1e-10 for float64.
    max_iter : int
        Most Newton steps for a value of C.
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
        that takes no copy of the features.

        Parameters
        ----------
        training : TrainingSet
            The rows.
        targets : Targets
            Their labels.
        Cs : sequence of float
            Values of C.
        start : torch.Tensor, optional
            ``(n_params, m)`` coefficients to start at; 0 by default.
        rough : bool
            Whether the solutions are only to be compared with each other.

        Yields
        ------
        tuple of (float, Solution)
            C and the minimiser.
        """
        tol = self.tol or (ROUGH_TOL if rough else DEFAULT_TOL)[training.samples.dtype]
        problem = _Problem(self, training.design, targets)
        if start is None:
            start = problem.warm_up(min(Cs))
        for C in sorted(Cs):
            solution = problem.solve(C, start, tol)
            if not solution.converged.all() and problem.dtype == torch.float32:
                design = training.double_design()
                if design is not None:
                    problem = _Problem(self, design, targets)
                    solution = problem.solve(C, solution.params.double(), tol)
            start = solution.params
            yield C, solution


class _Problem:
    """A design, its labels and its preconditioner."""

    def __init__(self, solver: Solver, design: Design, targets: Targets) -> None:
        self.solver, self.design = solver, design
        self.zeros = design.zeros(targets.n_columns)
        self.dtype = self.zeros.dtype
        self.signs, self.weight = targets.tensors(self.zeros.device, self.dtype)
        self.preconditioner = nystroem(design)

    def solve(self, C: float, start: Tensor, tol: float) -> Solution:
        """Return the solution for one C."""
        loss = self.solver.loss(self.signs, self.weight, float(C))
        return minimise(
            self.design, loss, start, self.preconditioner, tol=tol, max_iter=self.solver.max_iter
        )

    def warm_up(self, C: float) -> Tensor:
        """Return a start for `C`, by way of smaller values.

        At ten over the largest eigenvalue of ``X' X`` penalty and loss weigh about the same, and
        the problem is easy. A start at 0 makes every row a support row, which is hard at a large C.
        """
        eigenvalues = self.preconditioner.eigenvalues
        if not len(eigenvalues) or not float(eigenvalues.max()):
            return self.zeros
        steps = math.ceil(math.log10(C) + math.log10(float(eigenvalues.max()) / 10))
        start = self.zeros
        for k in range(steps, 0, -1):
            solution = self.solve(C / 10**k, start, WARM_UP_TOL)
            start = solution.params
            if not solution.converged.any():  # nor would any larger value
                break
        return start
