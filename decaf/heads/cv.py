"""Linear heads that choose their C by cross-validation."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import check_cv
from sklearn.utils.validation import _check_sample_weight

from decaf.heads.linear import LinearHead, LinearModel, check_positive, checked_rows
from decaf.heads.logistic import LogisticRegression
from decaf.heads.predictions import Probabilities
from decaf.heads.select import best, mean_over_folds, validation_scores
from decaf.heads.svm import LinearSVM
from decaf.heads.targets import ClassWeight
from decaf.metrics import METRICS, Metric
from decaf.types import FloatArray, IntArray

_OWN = {"Cs", "cv", "scoring"}
"""Arguments that the head for one C does not have."""


class _CrossValidated(LinearModel):
    Cs: int | Sequence[float]
    cv: Any
    scoring: str | None

    C_: float
    Cs_: FloatArray
    scores_: FloatArray
    c_at_edge_: bool

    @abstractmethod
    def _head(self, **arguments: Any) -> LinearHead:
        """Return the head for one C."""

    def fit(self, X: Any, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Self:
        """Choose C by cross-validation and fit with it on all rows.

        Parameters
        ----------
        X : array-like
            ``(n_images, n_features)``.
        y : array-like
            ``(n_images,)`` labels, or ``(n_images, n_classes)`` of 1, -1 and 0.
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
        self.Cs_ = self._grid()
        X, labels = checked_rows(self, X, y)
        weight = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        arguments = {k: v for k, v in self.get_params().items() if k not in _OWN}
        head = self._head(**arguments)
        targets = head.encode(labels, weight)
        cv = check_cv(self.cv, labels, classifier=True)
        samples = head.samples(X)
        self.scores_, _ = validation_scores(
            head,
            samples,
            labels,
            folds=list(cv.split(np.zeros((len(labels), 1)), labels)),
            c_grid=self.Cs_.tolist(),
            score=self._metric(labels).score,
            sample_weight=weight,
        )
        chosen = best(mean_over_folds(self.scores_))
        self.C_ = float(self.Cs_[chosen])
        self.c_at_edge_ = chosen in {0, len(self.Cs_) - 1}
        training = samples.train()
        ((_, solution),) = head.solver(targets).path(training, targets, [self.C_])
        return self.adopt(training, targets, solution)

    def _grid(self) -> FloatArray:
        if isinstance(self.Cs, int):
            check_positive(Cs=self.Cs)
            return np.logspace(-4, 4, self.Cs)
        for C in self.Cs:
            check_positive(C=C)
        return np.sort(np.asarray(self.Cs, dtype=np.float64))

    def _metric(self, y: IntArray) -> Metric:
        name = self.scoring or ("top1" if y.ndim == 1 or y.shape[1] == 1 else "map_area")
        if name not in METRICS:
            raise ValueError(f"unknown scoring {name!r}; choose one of: {', '.join(METRICS)}")
        return METRICS[name]


class LinearSVMCV(_CrossValidated):
    """Linear SVM that chooses its C by cross-validation; see :class:`LinearSVM`.

    All values of C and all folds share one Gram matrix, where there are fewer rows than features.

    Parameters
    ----------
    Cs : int or sequence of float
        Values of C, or how many of them from 1e-4 to 1e4.
    cv : int, splitter or iterable
        As in scikit-learn; stratified 5-fold by default.
    scoring : str or None
        A name in :data:`decaf.metrics.METRICS`; ``"top1"`` by default, ``"map_area"`` for label
        matrices. Of equal scores the middle one is taken.
    fit_intercept, intercept_scaling, class_weight, tol, max_iter, device, memory_share : optional
        As in :class:`LinearSVM`.

    Attributes
    ----------
    C_ : float
        The chosen value.
    c_at_edge_ : bool
        Whether it is the first or last of `Cs_`.
    Cs_ : numpy.ndarray
        ``(n_values,)`` ascending.
    scores_ : numpy.ndarray
        ``(n_folds, n_values)``.
    """

    def __init__(
        self,
        Cs: int | Sequence[float] = 10,
        *,
        cv: Any = None,
        scoring: str | None = None,
        fit_intercept: bool = True,
        intercept_scaling: float | None = 1.0,
        class_weight: ClassWeight = None,
        tol: float | None = None,
        max_iter: int = 100,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.scoring = scoring
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.memory_share = memory_share

    def _head(self, **arguments: Any) -> LinearSVM:
        return LinearSVM(**arguments)


class LogisticRegressionCV(_CrossValidated, Probabilities):
    """Logistic regression that chooses its C by cross-validation.

    All values of C and all folds share one Gram matrix, where there are fewer rows than features.

    Parameters
    ----------
    Cs : int or sequence of float
        Values of C, or how many of them from 1e-4 to 1e4.
    cv : int, splitter or iterable
        As in scikit-learn; stratified 5-fold by default.
    scoring : str or None
        A name in :data:`decaf.metrics.METRICS`; ``"top1"`` by default, ``"map_area"`` for label
        matrices. Of equal scores the middle one is taken.
    multi_class, fit_intercept, class_weight, tol, max_iter, device, memory_share : optional
        As in :class:`LogisticRegression`.

    Attributes
    ----------
    C_ : float
        The chosen value.
    c_at_edge_ : bool
        Whether it is the first or last of `Cs_`.
    Cs_ : numpy.ndarray
        ``(n_values,)`` ascending.
    scores_ : numpy.ndarray
        ``(n_folds, n_values)``.
    """

    def __init__(
        self,
        Cs: int | Sequence[float] = 10,
        *,
        cv: Any = None,
        scoring: str | None = None,
        multi_class: Literal["multinomial", "ovr"] = "multinomial",
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        tol: float | None = None,
        max_iter: int = 100,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.Cs = Cs
        self.cv = cv
        self.scoring = scoring
        self.multi_class = multi_class
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.memory_share = memory_share

    def _head(self, **arguments: Any) -> LogisticRegression:
        return LogisticRegression(**arguments)
