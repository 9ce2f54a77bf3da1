"""Fits along a path of C, sharing the design, its preconditioner and the starting point."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from decaf.heads.losses import OneVsRest, Softmax
from decaf.heads.newton import Solution, minimise
from decaf.heads.precondition import nystroem
from decaf.heads.samples import TrainingSet
from decaf.heads.targets import Targets


@dataclass(frozen=True)
class Solver:
    """What a linear head asks of the solver.

    Attributes
    ----------
    loss : type
        Loss of the scores, made of signs, weight and C.
    tol : float
        Relative distance from the least objective.
    max_iter : int
        Most Newton steps for a value of C.
    """

    loss: type[OneVsRest] | type[Softmax]
    tol: float
    max_iter: int

    def path(
        self, training: TrainingSet, targets: Targets, Cs: Sequence[float]
    ) -> Iterator[tuple[float, Solution]]:
        """Yield each C, in ascending order, with its solution; each starts at the last one.

        Parameters
        ----------
        training : TrainingSet
            The rows.
        targets : Targets
            Their labels.
        Cs : sequence of float
            Values of C.

        Yields
        ------
        tuple of (float, Solution)
            C and the minimiser.
        """
        design = training.design
        start = design.zeros(targets.n_columns)
        signs, weight = targets.tensors(start.device, start.dtype)
        preconditioner = nystroem(design)
        for C in sorted(Cs):
            loss = self.loss(signs, weight, float(C))
            solution = minimise(
                design, loss, start, preconditioner, tol=self.tol, max_iter=self.max_iter
            )
            start = solution.params
            yield C, solution
