"""What the linear heads have in common."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, column_or_1d
from torch import Tensor

from decaf.device import find_device
from decaf.heads.designs import blocks
from decaf.heads.features import checked_features, compute_dtype
from decaf.heads.newton import Solution
from decaf.heads.path import Solver
from decaf.heads.predictions import Predictions, check_weights
from decaf.heads.samples import Samples, TrainingSet
from decaf.heads.targets import Targets
from decaf.types import FloatArray


class LinearModel(Predictions):
    """What a linear head has learned, and its scores."""

    device: str
    memory_share: float

    def adopt(self, training: TrainingSet, targets: Targets, solution: Solution) -> Self:
        """Take a solution on some training rows as what was learned."""
        return self.learn(*training.coefficients(solution.params), targets, solution)

    def learn(self, W: Tensor, intercept: Tensor, targets: Targets, solution: Solution) -> Self:
        """Take coefficients as what was learned.

        Parameters
        ----------
        W, intercept : torch.Tensor
            ``(n_features, m)`` and ``(m,)``.
        targets : Targets
            The labels.
        solution : Solution
            What the solver says of them.

        Returns
        -------
        self
            The fitted head.
        """
        self.n_features_in_ = W.shape[0]
        self.classes_ = targets.classes
        self.multilabel_ = targets.multilabel
        self.coef_ = W.T.cpu().numpy()
        self.intercept_ = intercept.cpu().numpy() + targets.constant.astype(self.coef_.dtype)
        check_weights(self, self.coef_, self.intercept_)
        self.n_iter_ = solution.n_iter
        self.objective_ = float(solution.objective.sum())
        self.gradient_norm_ = float(solution.gradient_norm.double().square().sum().sqrt())
        self.converged_ = bool(solution.converged.all())
        if not self.converged_:
            warnings.warn(
                f"{type(self).__name__} did not converge in {self.n_iter_} steps: "
                f"{int((~solution.converged).sum())} of {len(solution.converged)} problems are "
                f"above tol; raise max_iter or tol, or scale the features",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Return one score per row and class.

        Parameters
        ----------
        X : array-like
            ``(n_images, n_features)``.

        Returns
        -------
        numpy.ndarray
            ``(n_images, n_classes)``, or ``(n_images,)`` where there are two classes: positive
            for the second.
        """
        check_is_fitted(self)
        X = checked_features(self, X, reset=False, memory_share=self.memory_share)
        device, dtype = find_device(self.device), compute_dtype(X)
        W = torch.as_tensor(self.coef_.T).to(device, dtype)
        intercept = torch.as_tensor(self.intercept_).to(device, dtype)
        parts = [torch.addmm(intercept, block, W).cpu() for _, block in blocks(X, device, dtype)]
        F: FloatArray = torch.cat(parts).numpy()
        return F if F.shape[1] > 1 else F[:, 0]


class LinearHead(LinearModel, ABC):
    """A linear classifier, solved for all classes at once.

    Subclasses say in :meth:`encode`, :meth:`samples` and :meth:`solver` what is minimised; the
    cross-validated heads and :mod:`decaf.heads.select` use the same three.
    """

    C: float

    @property
    def shares(self) -> bool:
        """Whether values of C and splits can share a design."""
        return True

    @abstractmethod
    def encode(self, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Targets:
        """Return signs and weights of labels."""

    @abstractmethod
    def samples(self, X: Any, *, standardize: bool = False) -> Samples:
        """Return checked features as training rows on the head's device."""

    @abstractmethod
    def solver(self, targets: Targets) -> Solver:
        """Return the loss and how far to go."""

    def fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Fit on rows of features.

        Parameters
        ----------
        X : array-like
            ``(n_images, n_features)``; a layer of a store that is larger than `memory_share` of
            the memory is read in blocks of rows.
        y : array-like
            ``(n_images,)`` labels, or ``(n_images, n_classes)`` of 1, -1 and 0 (row left out of
            that class).
        sample_weight : array-like, optional
            ``(n_images,)`` weights that multiply C.

        Returns
        -------
        self
            The fitted head.

        Raises
        ------
        ValueError
            If features, labels or arguments cannot be used.
        """
        (fitted,) = self._fit_heads([self], X, y, sample_weight)
        return fitted

    def fit_path(
        self,
        X: Any,
        y: npt.ArrayLike,
        Cs: Sequence[float],
        sample_weight: npt.ArrayLike | None = None,
    ) -> list[Self]:
        """Fit one head for each value of C, sharing all they can.

        Parameters
        ----------
        X, y : array-like
            As in :meth:`fit`.
        Cs : sequence of float
            Values of C.
        sample_weight : array-like, optional
            As in :meth:`fit`.

        Returns
        -------
        list
            Fitted heads in the order of `Cs`.
        """
        return self._fit_heads([clone(self).set_params(C=C) for C in Cs], X, y, sample_weight)

    def _fit_heads(
        self, heads: list[Self], X: Any, y: Any, sample_weight: npt.ArrayLike | None
    ) -> list[Self]:
        check_positive(**{f"C{i or ''}": head.C for i, head in enumerate(heads)})
        X, y = checked_rows(self, X, y)
        targets = self.encode(y, sample_weight)
        training = self.samples(X).train()
        path = self.solver(targets).path(training, targets, [head.C for head in heads])
        for head, (_, solution) in zip(sorted(heads, key=lambda h: h.C), path, strict=True):
            head.adopt(training, targets, solution)
        return heads


def checked_rows(head: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Return checked training features and labels of a head.

    Parameters
    ----------
    head : estimator
        Whose `memory_share` counts and whose number of features is set.
    X, y : array-like
        Features and labels.

    Returns
    -------
    tuple
        The features, as an array where they fit in memory, and the labels as an array.

    Raises
    ------
    ValueError
        If they cannot be used or differ in length.
    """
    if y is None:
        raise ValueError(
            f"requires y to be passed, but the target y is None; {type(head).__name__} needs labels"
        )
    X = checked_features(head, X, reset=True, memory_share=head.memory_share)
    y = np.asarray(y)
    if y.ndim != 2 or y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if len(y) != X.shape[0]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[X.shape[0], len(y)]}; "
            f"give one label a row"
        )
    return X, y


def check_positive(**values: float) -> None:
    """Raise where an argument is not a positive finite number."""
    for name, value in values.items():
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not (number and value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be a positive number; got {name}={value!r}")
