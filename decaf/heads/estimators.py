"""The linear heads: estimators with scikit-learn's interface, solved for all classes at once."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy.typing as npt
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from decaf.device import find_device
from decaf.heads.designs import Bias, Samples, TrainingSet
from decaf.heads.features import check_positive, checked_rows
from decaf.heads.losses import Logistic, LossType, Softmax, SquaredHinge
from decaf.heads.scores import LayeredScores, Probabilities, check_weights, is_softmax
from decaf.heads.solver import Solution, Solver
from decaf.heads.targets import ClassWeight, Targets, encode
from decaf.types import FloatArray


def logistic_loss(multi_class: str, targets: Targets) -> LossType:
    """Return the loss of labels: two classes and label matrices have one loss a column."""
    return Softmax if is_softmax(multi_class, targets.multilabel, targets.n_columns) else Logistic


class LinearModel(LayeredScores):
    """What a linear head has learned, and its scores."""

    def layers(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return weights and biases of the one layer."""
        return [(self.coef_, self.intercept_)]

    def learn(self, W: Tensor, intercept: Tensor, targets: Targets) -> None:
        """Take weights ``(n_features, m)`` and intercepts ``(m,)`` as what was learned."""
        self.n_features_in_ = W.shape[0]
        self.classes_, self.multilabel_ = targets.classes, targets.multilabel
        self.coef_: FloatArray = W.T.cpu().numpy()
        self.intercept_: FloatArray = intercept.cpu().numpy() + targets.constant.astype(
            self.coef_.dtype
        )
        check_weights(self, self.coef_, self.intercept_)


class LinearHead(LinearModel, ABC):
    """A linear classifier, solved for all classes at once.

    Subclasses say in `_weight_of`, :meth:`_bias` and :meth:`_loss` what is minimised;
    :mod:`decaf.heads.select` uses the same.

    Attributes
    ----------
    coef_ : numpy.ndarray
        ``(n_classes, n_features)``, or ``(1, n_features)`` where there are two classes.
    intercept_ : numpy.ndarray
        ``(n_classes,)`` or ``(1,)``.
    classes_ : numpy.ndarray
        Labels; column numbers for a label matrix.
    n_iter_ : int
        Newton steps taken.
    converged_ : bool
        Whether every class met `tol`.
    objective_, gradient_norm_ : float
        At the solution, over all classes.
    """

    C: float
    class_weight: ClassWeight
    tol: float | None
    max_iter: int
    _weight_of: Literal["label", "sign"]

    def encode(self, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Targets:
        """Return signs and weights of labels."""
        return encode(y, self.class_weight, sample_weight, weight_of=self._weight_of)

    @abstractmethod
    def _bias(self) -> Bias:
        """Return how the intercept is learned."""

    @abstractmethod
    def _loss(self, targets: Targets) -> LossType:
        """Return the loss of the labels."""

    def samples(self, X: Any, *, standardize: bool = False) -> Samples:
        """Return checked features as training rows on the head's device."""
        return Samples(X, self._bias(), find_device(self.device), standardize=standardize)

    def solver(self, targets: Targets) -> Solver:
        """Return the loss and how far to go."""
        check_positive(tol=1.0 if self.tol is None else self.tol, max_iter=self.max_iter)
        return Solver(self._loss(targets), self.tol, self.max_iter)

    def adopt(self, training: TrainingSet, targets: Targets, solution: Solution) -> Self:
        """Take a solution on some training rows as what was learned."""
        self.learn(*training.coefficients(solution.params), targets)
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
        """Return one fitted head for each value of C; they share all they can; see :meth:`fit`."""
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


class LinearSVM(LinearHead):
    """L2-regularised linear SVM with the squared hinge loss, one class against the rest.

    Minimises LIBLINEAR's objective, which scikit-learn's ``LinearSVC`` minimises class by class:
    ``1/2 ||w||^2 + C sum(weight * max(0, 1 - y (w'x + b))^2)``, with the bias penalised as the
    weight of one more feature of value `intercept_scaling`. Attributes are those of
    :class:`LinearHead`.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation.
    fit_intercept : bool
        Whether to learn an intercept.
    intercept_scaling : float or None
        Value of the constant feature behind the intercept; None leaves it unpenalised.
    class_weight : dict, "balanced" or None
        Weight of each class's own rows, as in LIBLINEAR; for a label matrix, of the labels 1
        and -1, for instance ``{1: 2, -1: 1}``.
    tol : float or None
        Relative distance from the least objective at which one more step is the last; None is
        1e-4 for float32 features and 1e-10 for float64.
    max_iter : int
        Most Newton steps.
    device : str
        Where to compute; see `decaf.device.find_devices`.
    memory_share : float
        Share of the machine's memory above which features are read in blocks.

    References
    ----------
    R.-E. Fan, K.-W. Chang, C.-J. Hsieh, X.-R. Wang and C.-J. Lin, "LIBLINEAR: a library for large
    linear classification", JMLR 9, 2008 (section 2; appendix A for the classes' weights).

    Examples
    --------
    >>> import numpy as np
    >>> from decaf.heads import LinearSVM
    >>> X = np.array([[-1.0, -1.0], [-2.0, -1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> LinearSVM().fit(X, ["left", "left", "right", "right"]).predict([[-1.0, 0.0]])
    array(['left'], dtype='<U5')
    """

    _weight_of = "sign"

    def __init__(
        self,
        C: float = 1.0,
        *,
        fit_intercept: bool = True,
        intercept_scaling: float | None = 1.0,
        class_weight: ClassWeight = None,
        tol: float | None = None,
        max_iter: int = 100,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.C = C
        self.fit_intercept, self.intercept_scaling = fit_intercept, intercept_scaling
        self.class_weight = class_weight
        self.tol, self.max_iter = tol, max_iter
        self.device, self.memory_share = device, memory_share

    def _loss(self, targets: Targets) -> LossType:  # noqa: ARG002 - one loss for all labels
        return SquaredHinge

    def _bias(self) -> Bias:
        if not self.fit_intercept:
            return Bias(free=False, scaling=0.0)
        if self.intercept_scaling is None:
            return Bias(free=True)
        check_positive(intercept_scaling=self.intercept_scaling)
        return Bias(free=False, scaling=self.intercept_scaling)


class LogisticRegression(Probabilities, LinearHead):
    """L2-regularised logistic regression: multinomial, or one class against the rest.

    Minimises the objective of scikit-learn's ``LogisticRegression``,
    ``1/2 ||W||^2 + C sum(weight * loss)``, with the intercept not penalised. Attributes are those
    of :class:`LinearHead`.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation.
    multi_class : {"multinomial", "ovr"}
        Softmax over all classes, or one logistic regression a class; two classes and label
        matrices have the latter in either case.
    fit_intercept : bool
        Whether to learn an intercept.
    class_weight : dict, "balanced" or None
        Weight of each row by its label; for a label matrix, of the labels 1 and -1.
    tol, max_iter, device, memory_share : optional
        As in :class:`LinearSVM`.

    References
    ----------
    C.-J. Lin, R. C. Weng and S. S. Keerthi, "Trust region Newton method for large-scale logistic
    regression", JMLR 9, 2008 (equations 2 to 4).

    Examples
    --------
    >>> import numpy as np
    >>> from decaf.heads import LogisticRegression
    >>> X = np.array([[-1.0], [-2.0], [1.0], [2.0]])
    >>> head = LogisticRegression().fit(X, [0, 0, 1, 1])
    >>> head.predict_proba([[0.0]]).round(3)
    array([[0.5, 0.5]])
    """

    _weight_of = "label"

    def __init__(
        self,
        C: float = 1.0,
        *,
        multi_class: Literal["multinomial", "ovr"] = "multinomial",
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        tol: float | None = None,
        max_iter: int = 100,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.C, self.multi_class = C, multi_class
        self.fit_intercept, self.class_weight = fit_intercept, class_weight
        self.tol, self.max_iter = tol, max_iter
        self.device, self.memory_share = device, memory_share

    def _bias(self) -> Bias:
        return Bias(free=self.fit_intercept, scaling=float(self.fit_intercept))

    def _loss(self, targets: Targets) -> LossType:
        if self.multi_class not in {"multinomial", "ovr"}:
            raise ValueError(
                f"multi_class must be 'multinomial' or 'ovr'; got {self.multi_class!r}"
            )
        return logistic_loss(self.multi_class, targets)
