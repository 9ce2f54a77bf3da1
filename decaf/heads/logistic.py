"""Logistic regression."""

from typing import Any, Literal

import numpy.typing as npt

from decaf.device import find_device
from decaf.heads.designs import Bias
from decaf.heads.linear import LinearHead, check_positive
from decaf.heads.losses import Logistic, LossType, Softmax
from decaf.heads.path import Solver
from decaf.heads.predictions import Probabilities, is_softmax
from decaf.heads.samples import Samples
from decaf.heads.targets import ClassWeight, Targets, encode


def logistic_loss(multi_class: str, targets: Targets) -> LossType:
    """Return the loss of labels: two classes and label matrices have one loss a column."""
    return Softmax if is_softmax(multi_class, targets.multilabel, targets.n_columns) else Logistic


class LogisticRegression(Probabilities, LinearHead):
    """L2-regularised logistic regression: multinomial, or one class against the rest.

    Minimises the objective of scikit-learn's ``LogisticRegression``,
    ``1/2 ||W||^2 + C sum(weight * loss)``, with the intercept not penalised.

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
    tol : float or None
        Relative distance from the least objective at which one more step is the last; None is
        1e-4 for float32 features and 1e-10 for float64.
    max_iter : int
        Most Newton steps.
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
        At the solution, over all classes.

    References
    ----------
    C.-J. Lin, R. C. Weng and S. S. Keerthi, "Trust region Newton method for large-scale logistic
    regression", JMLR 9, 2008 (equations 2 to 4).

    Examples
    --------
    >>> import numpy as np
    >>> from decaf.heads.logistic import LogisticRegression
    >>> X = np.array([[-1.0], [-2.0], [1.0], [2.0]])
    >>> head = LogisticRegression().fit(X, [0, 0, 1, 1])
    >>> head.predict_proba([[0.0]]).round(3)
    array([[0.5, 0.5]])
    """

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
        self.C = C
        self.multi_class = multi_class
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.device = device
        self.memory_share = memory_share

    def encode(self, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> Targets:
        """Return signs and weights of labels."""
        return encode(
            y, class_weight=self.class_weight, sample_weight=sample_weight, weight_of="label"
        )

    def samples(self, X: Any, *, standardize: bool = False) -> Samples:
        """Return checked features as training rows on the head's device."""
        bias = Bias(free=self.fit_intercept, scaling=1.0 if self.fit_intercept else 0.0)
        return Samples(X, bias, find_device(self.device), standardize=standardize)

    def solver(self, targets: Targets) -> Solver:
        """Return the loss and how far to go."""
        check_positive(tol=1.0 if self.tol is None else self.tol, max_iter=self.max_iter)
        if self.multi_class not in {"multinomial", "ovr"}:
            raise ValueError(
                f"multi_class must be 'multinomial' or 'ovr'; got {self.multi_class!r}"
            )
        return Solver(logistic_loss(self.multi_class, targets), self.tol, self.max_iter)
