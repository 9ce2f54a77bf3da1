"""The linear support vector machine."""

from typing import Any

import numpy.typing as npt

from decaf.heads.designs import Bias
from decaf.heads.device import resolve_device
from decaf.heads.linear import LinearHead, check_positive
from decaf.heads.losses import SquaredHinge
from decaf.heads.path import Solver
from decaf.heads.samples import Samples
from decaf.heads.targets import ClassWeight, Targets, encode


class LinearSVM(LinearHead):
    """L2-regularised linear SVM with the squared hinge loss, one class against the rest.

    Minimises LIBLINEAR's objective, which scikit-learn's ``LinearSVC`` minimises class by class,
    for all classes at once: ``1/2 ||w||^2 + C sum(weight * max(0, 1 - y (w'x + b))^2)``, with the
    bias penalised as the weight of one more feature of value `intercept_scaling`.

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
    tol : float
        Relative distance from the least objective at which to stop.
    max_iter : int
        Most Newton steps.
    device : {"auto", "cpu", "cuda"}
        Where to compute.
    memory_share : float
        Share of the machine's memory above which features are read in blocks.

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

    References
    ----------
    R.-E. Fan, K.-W. Chang, C.-J. Hsieh, X.-R. Wang and C.-J. Lin, "LIBLINEAR: a library for large
    linear classification", JMLR 9, 2008 (section 2; appendix A for the classes' weights).

    Examples
    --------
    >>> import numpy as np
    >>> from decaf.heads.svm import LinearSVM
    >>> X = np.array([[-1.0, -1.0], [-2.0, -1.0], [1.0, 1.0], [2.0, 1.0]])
    >>> LinearSVM().fit(X, ["left", "left", "right", "right"]).predict([[-1.0, 0.0]])
    array(['left'], dtype='<U5')
    """

    def __init__(
        self,
        C: float = 1.0,
        *,
        fit_intercept: bool = True,
        intercept_scaling: float | None = 1.0,
        class_weight: ClassWeight = None,
        tol: float = 1e-6,
        max_iter: int = 100,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.C = C
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.memory_share = memory_share

    def encode(self, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Targets:
        """Return signs and weights of labels."""
        return encode(
            y, class_weight=self.class_weight, sample_weight=sample_weight, weight_of="sign"
        )

    def samples(self, X: Any, *, standardize: bool = False) -> Samples:
        """Return checked features as training rows on the head's device."""
        free = self.fit_intercept and self.intercept_scaling is None
        scaling = 1.0
        if not self.fit_intercept:
            scaling = 0.0
        elif self.intercept_scaling is not None:
            check_positive(intercept_scaling=self.intercept_scaling)
            scaling = self.intercept_scaling
        bias = Bias(free, scaling)
        return Samples(X, bias, resolve_device(self.device), standardize=standardize)

    def solver(self, targets: Targets) -> Solver:  # noqa: ARG002 - one loss for all labels
        """Return the loss and how far to go."""
        check_positive(tol=self.tol, max_iter=self.max_iter)
        return Solver(SquaredHinge, self.tol, self.max_iter)
