"""The SVM's optimum is LIBLINEAR's."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from decaf.heads import LinearSVM, LogisticRegression


def problem(n, d, k, seed=0, rank=None):
    """Overlapping classes; rows of at most `rank` dimensions."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    centres = rng.normal(size=(k, d))
    X = centres[y] + 1.5 * rng.normal(size=(n, d))
    if rank is not None:
        X = X @ rng.normal(size=(d, rank)) @ rng.normal(size=(rank, d)) / d
    return np.maximum(X, 0), y


def objective(head, X, y, C, weight=None, scaling=1.0):
    """Return LIBLINEAR's objective in float64, class by class."""
    W, b = head.coef_.astype(np.float64), head.intercept_.astype(np.float64)
    Y = np.where(y[:, None] == head.classes_[-len(W) :], 1, -1)
    slack = np.maximum(0, 1 - Y * (X @ W.T + b))
    weight = np.ones_like(slack) if weight is None else weight
    penalty = 0 if scaling is None else ((b / scaling) ** 2).sum()
    return ((W**2).sum() + penalty) / 2 + C * (weight * slack**2).sum()


CASES = {
    "wide": (40, 90, 5, None),
    "tall": (150, 20, 5, None),
    "binary wide": (30, 60, 2, None),
    "binary tall": (120, 10, 2, None),
    "rank-deficient wide": (50, 80, 4, 12),
    "rank-deficient tall": (120, 30, 4, 6),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("C", [1e-2, 1.0, 1e2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_objective_is_no_worse_than_scikit_learns(case, C, dtype):
    n, d, k, rank = CASES[case]
    X, y = problem(n, d, k, rank=rank)
    ours = LinearSVM(C=C).fit(X.astype(dtype), y)
    theirs = LinearSVC(C=C, tol=1e-6, max_iter=200_000, random_state=0).fit(X, y)
    assert ours.converged_
    least = min(objective(ours, X, y, C), objective(theirs, X, y, C))
    assert objective(ours, X, y, C) <= (1 + 1e-5) * least
    np.testing.assert_allclose(ours.objective_, objective(ours, X, y, C), rtol=1e-4)


@pytest.mark.parametrize("scaling", [0.5, 3.0, None])
def test_intercept_scaling(scaling):
    X, y = problem(60, 15, 3)
    ours = LinearSVM(intercept_scaling=scaling).fit(X, y)
    # LIBLINEAR has no free intercept; a large constant feature costs next to nothing.
    theirs = LinearSVC(
        intercept_scaling=scaling or 300.0, dual=False, tol=1e-10, max_iter=10_000
    ).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-3)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-3)


@pytest.mark.parametrize("shape", [(60, 15, 3), (30, 80, 3), (60, 15, 2)])
def test_class_and_sample_weights_are_libliners(shape):
    X, y = problem(*shape)
    weights = np.random.default_rng(1).uniform(0.2, 3, len(y))
    classes = {0: 3.0, 1: 0.5}
    ours = LinearSVM(class_weight=classes).fit(X, y, sample_weight=weights)
    theirs = LinearSVC(class_weight=classes, dual=False, tol=1e-10, max_iter=10_000)
    theirs.fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)


def test_no_intercept():
    X, y = problem(60, 15, 3)
    ours = LinearSVM(fit_intercept=False).fit(X, y)
    theirs = LinearSVC(fit_intercept=False, dual=False, tol=1e-10, max_iter=10_000).fit(X, y)
    np.testing.assert_array_equal(ours.intercept_, 0)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=2e-5)


@pytest.mark.parametrize("shape", [(60, 15), (30, 80)])
def test_difficult_rows_are_left_out_of_their_class_only(shape):
    X, _ = problem(*shape, 2)
    rng = np.random.default_rng(2)
    Y = rng.choice([1, -1, -1, 0], (len(X), 3))
    ours = LinearSVM(class_weight={1: 2.0, -1: 1.0}).fit(X, Y)
    for k in range(3):
        kept = Y[:, k] != 0
        one = LinearSVC(class_weight={1: 2.0, -1: 1.0}, dual=False, tol=1e-10, max_iter=10_000)
        one.fit(X[kept], Y[kept, k])
        np.testing.assert_allclose(ours.coef_[k], one.coef_[0], atol=2e-5)
    assert set(np.unique(ours.predict(X))) <= {-1, 1}


@pytest.mark.parametrize("shape", [(60, 15, 4), (40, 90, 4)])
def test_the_path_is_the_single_fits(shape):
    X, y = problem(*shape)
    Cs = [10.0, 0.1, 1.0]
    for C, head in zip(Cs, LinearSVM().fit_path(X, y, Cs), strict=True):
        assert head.C == C
        np.testing.assert_allclose(head.coef_, LinearSVM(C=C).fit(X, y).coef_, atol=1e-6)


def test_large_raw_features_converge_in_float32():
    X, y = problem(60, 200, 3)
    head = LinearSVM(C=1e-2).fit((1000 * X).astype(np.float32), y)
    assert head.converged_
    wanted = LinearSVM(C=1e-2).fit(1000 * X, y).objective_
    assert objective(head, 1000 * X, y, 1e-2) <= 1.0005 * wanted


def test_what_float32_cannot_solve_is_said_not_to_have_converged():
    X, y = problem(60, 200, 3)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        head = LinearSVM(C=1e3).fit((1000 * X).astype(np.float32), y)
    assert not head.converged_


@pytest.mark.parametrize("head", [LinearSVM, LogisticRegression])
@pytest.mark.parametrize("size", [1e-12, 1e12, 1e30])
@pytest.mark.parametrize("d", [15, 80])
def test_the_size_of_features_is_made_up_for_by_c(head, size, d):
    X, y = problem(60, d, 3)
    arguments = {} if head is LogisticRegression else {"fit_intercept": False}
    one = head(C=0.1, **arguments).fit(X, y)
    large = head(C=0.1 / size**2, **arguments).fit((size * X).astype(np.float32), y)
    np.testing.assert_allclose(large.coef_ * size, one.coef_, atol=0.01)
    assert large.converged_


def test_what_float32_cannot_solve_goes_on_in_float64():
    """Many classes of few rows, with features so long that float32 ends above the optimum."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(50), 3)
    X = (100 * (rng.normal(size=(50, 20))[y] + rng.normal(size=(150, 20)))).astype(np.float32)
    ours = LinearSVM(C=100).fit(X, y)
    assert ours.converged_
    exact = LinearSVM(C=100).fit(X.astype(np.float64), y)
    np.testing.assert_allclose(ours.objective_, exact.objective_, rtol=1e-3)


def test_works_as_a_part_of_scikit_learn():
    X, y = problem(90, 10, 3)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LinearSVM()), {"linearsvm__C": [0.01, 1.0]}, cv=3
    ).fit(X, y)
    assert search.best_params_["linearsvm__C"] in {0.01, 1.0}
    assert clone(LinearSVM(C=3.0)).C == 3.0
