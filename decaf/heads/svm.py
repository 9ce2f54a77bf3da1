"""The linear support vector machine."""

from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from decaf.device import find_device
from decaf.heads.designs import Bias
from decaf.heads.hinge import fit_hinge
from decaf.heads.linear import LinearHead, check_positive, checked_rows
from decaf.heads.losses import SquaredHinge
from decaf.heads.path import Solver
from decaf.heads.samples import Samples
from decaf.heads.targets import ClassWeight, Targets, encode


class LinearSVM(LinearHead):
    """L2-regularised linear SVM with the squared hinge loss, one class against the rest.

    Minimises LIBLINEAR's objective, which scikit-learn's ``LinearSVC`` minimises class by class,
    for all classes at once: ``1/2 ||w||^2 + C sum(weight * max(0, 1 - y (w'x + b))^2)``, with the
    bias penalised as the weight of one more feature of value `intercept_scaling`. The plain
    hinge, without the square, is left to LIBLINEAR.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation.
    loss : {"squared_hinge", "hinge"}
        What a row short of its margin costs.
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
        Most Newton steps; for the plain hinge, most thousands of LIBLINEAR's passes.
    device : str
        Where to compute; see `decaf.device.find_devices`.
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
        At the solution, over all classes; the hinge has no gradient, and nan.

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
        loss: Literal["squared_hinge", "hinge"] = "squared_hinge",
        fit_intercept: bool = True,
        intercept_scaling: float | None = 1.0,
        class_weight: ClassWeight = None,
        tol: float | None = None,
        max_iter: int = 100,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.C = C
        self.loss = loss
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
        return Samples(X, self._bias(), find_device(self.device), standardize=standardize)

    def solver(self, targets: Targets) -> Solver:  # noqa: ARG002 - one loss for all labels
        """Return the loss and how far to go."""
        self._check_solver()
        return Solver(SquaredHinge, self.tol, self.max_iter)

    @property
    def shares(self) -> bool:
        """Whether values of C and splits share a design; LIBLINEAR starts anew each time."""
        return self.loss == "squared_hinge"

    def _fit_heads(
        self, heads: list[Self], X: Any, y: Any, sample_weight: npt.ArrayLike | None
    ) -> list[Self]:
        if self.loss not in {"squared_hinge", "hinge"}:
            raise ValueError(f"loss must be 'squared_hinge' or 'hinge'; got {self.loss!r}")
        if self.shares:
            return super()._fit_heads(heads, X, y, sample_weight)
        check_positive(**{f"C{i or ''}": head.C for i, head in enumerate(heads)})
        self._check_solver()
        bias = self._bias()
        if bias.free:
            raise ValueError("loss='hinge' penalises its intercept; give an intercept_scaling")
        X, y = checked_rows(self, X, y)
        targets = self.encode(y, sample_weight)
        for head in heads:
            solution = fit_hinge(
                np.asarray(X),
                targets,
                head.C,
                scaling=bias.scaling,
                tol=self.tol,
                max_iter=self.max_iter,
            )
            head.learn(solution.params[:-1], solution.params[-1], targets, solution)
        return heads

    def _bias(self) -> Bias:
        if not self.fit_intercept:
            return Bias(free=False, scaling=0.0)
        if self.intercept_scaling is None:
            return Bias(free=True)
        check_positive(intercept_scaling=self.intercept_scaling)
        return Bias(free=False, scaling=self.intercept_scaling)

    def _check_solver(self) -> None:
        check_positive(tol=1.0 if self.tol is None else self.tol, max_iter=self.max_iter)
