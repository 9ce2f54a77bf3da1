"""The plain hinge loss, which has no curvature for Newton's method: LIBLINEAR solves it."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import LinearSVC
from torch import Tensor, as_tensor, stack, tensor

from decaf.heads.newton import Solution
from decaf.heads.targets import Targets
from decaf.types import FloatArray

TOL = 1e-6


def fit_hinge(
    X: FloatArray, targets: Targets, C: float, *, scaling: float, tol: float | None, max_iter: int
) -> Solution:
    """Minimise ``1/2 ||w||^2 + C sum(weight * max(0, 1 - y (w'x + b)))`` class by class.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n, d)`` features.
    targets : Targets
        Signs and weights of the rows; rows of sign 0 are left out.
    C : float
        Inverse strength of the regularisation.
    scaling : float
        Value of the constant feature behind the intercept; 0 for none.
    tol : float or None
        LIBLINEAR's largest violation of the optimality conditions; None is 1e-6.
    max_iter : int
        Most thousands of passes over the rows.

    Returns
    -------
    Solution
        `params` are the weights ``(d + 1, m)``, the intercept last.
    """
    weight = np.broadcast_to(targets.weight, targets.signs.shape)
    fitted = [
        _fit_class(X, y, w, C, scaling=scaling, tol=tol or TOL, max_iter=1000 * max_iter)
        for y, w in zip(targets.signs.T, weight.T, strict=True)
    ]
    params, objective, n_iter = zip(*fitted, strict=True)
    return Solution(
        params=stack(params, 1),
        objective=tensor(objective).double(),
        gradient_norm=tensor([float("nan")] * len(fitted)),
        converged=tensor(n_iter) < 1000 * max_iter,
        n_iter=max(n_iter),
    )


def _fit_class(
    X: FloatArray,
    y: FloatArray,
    weight: FloatArray,
    C: float,
    *,
    scaling: float,
    tol: float,
    max_iter: int,
) -> tuple[Tensor, float, int]:
    rows = (y != 0) & (weight > 0)
    if not rows.any():  # a class that all rows are left out of
        return as_tensor(np.zeros(X.shape[1] + 1, X.dtype)), 0.0, 1
    X, y, weight = X[rows], y[rows], weight[rows]
    svc = LinearSVC(
        loss="hinge",
        C=C,
        tol=tol,
        max_iter=max_iter,
        fit_intercept=scaling > 0,
        intercept_scaling=scaling or 1.0,
        random_state=0,
    )
    with warnings.catch_warnings():
        # The head says for all classes together what did not converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        svc.fit(X, y, sample_weight=weight)
    w, b = svc.coef_[0], float(np.ravel(svc.intercept_)[0])
    slack = np.maximum(0, 1 - y * (X @ w + b))
    size = w @ w + (b / (scaling or 1.0)) ** 2
    params = as_tensor(np.append(w, b).astype(X.dtype))
    return params, float(size / 2 + C * (weight @ slack)), int(svc.n_iter_)
