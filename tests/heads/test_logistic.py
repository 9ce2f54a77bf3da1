"""Logistic regression's optimum is scikit-learn's."""

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from sklearn.linear_model import LogisticRegression as Peer
from sklearn.multiclass import OneVsRestClassifier

from decaf.heads import LogisticRegression


def problem(n, d, k, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % k
    return np.maximum(rng.normal(size=(k, d))[y] + 1.5 * rng.normal(size=(n, d)), 0), y


def objective(head, X, y, C, weight=1.0):
    """Return the multinomial objective, or with two classes the binary one, in float64."""
    W, b = head.coef_.astype(np.float64), np.asarray(head.intercept_, np.float64)
    F = X @ W.T + b
    if F.shape[1] == 1:
        loss = np.logaddexp(0, -np.where(y == 1, 1, -1) * F[:, 0])
    else:
        loss = -log_softmax(F, axis=1)[np.arange(len(y)), y]
    return (W**2).sum() / 2 + C * (weight * loss).sum()


SHAPES = {"wide": (40, 90, 5), "tall": (150, 20, 5), "binary wide": (30, 60, 2)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("C", [1e-2, 1.0, 1e2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_objective_is_no_worse_than_scikit_learns(shape, C, dtype):
    X, y = problem(*SHAPES[shape])
    ours = LogisticRegression(C=C).fit(X.astype(dtype), y)
    theirs = Peer(C=C, tol=1e-8, max_iter=10_000).fit(X, y)
    least = min(objective(ours, X, y, C), objective(theirs, X, y, C))
    assert ours.converged_
    assert objective(ours, X, y, C) <= (1 + 1e-5) * least
    np.testing.assert_allclose(ours.objective_, objective(ours, X, y, C), rtol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=5e-3)


def test_weights_multiply_rows():
    X, y = problem(60, 10, 3)
    weight = np.random.default_rng(1).integers(1, 4, len(y))
    ours = LogisticRegression(class_weight={0: 2.0, 1: 1.0, 2: 1.0})
    ours.fit(X, y, sample_weight=weight)
    repeats = weight * np.where(y == 0, 2, 1)
    repeated = LogisticRegression().fit(np.repeat(X, repeats, axis=0), np.repeat(y, repeats))
    np.testing.assert_allclose(ours.coef_, repeated.coef_, atol=1e-6)


def test_one_class_against_the_rest_is_single_fits():
    X, y = problem(60, 10, 3)
    ours = LogisticRegression(multi_class="ovr").fit(X, y)
    theirs = OneVsRestClassifier(Peer(tol=1e-8, max_iter=10_000)).fit(X, y)
    np.testing.assert_allclose(
        ours.coef_, np.vstack([e.coef_ for e in theirs.estimators_]), atol=1e-4
    )
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-4)


def test_a_label_matrix_is_single_fits_without_the_unsure_rows():
    X, y = problem(60, 10, 3)
    labels = np.where(y[:, None] == np.arange(3), 1, -1)
    labels[::7, 1] = 0
    ours = LogisticRegression().fit(X, labels)
    for k in range(3):
        sure = labels[:, k] != 0
        theirs = Peer(tol=1e-8, max_iter=10_000).fit(X[sure], labels[sure, k])
        np.testing.assert_allclose(ours.coef_[k], theirs.coef_[0], atol=1e-4)
    assert set(np.unique(ours.predict(X))) <= {-1, 1}


def test_probabilities_of_extreme_scores_are_finite():
    X, y = problem(40, 5, 3)
    head = LogisticRegression(C=1e3).fit(X, y)
    p = head.predict_proba(1e6 * X)
    assert np.isfinite(p).all()
    np.testing.assert_allclose(p.sum(1), 1, atol=1e-6)


def test_the_mean_loss_falls_below_that_of_a_guess():
    X, y = problem(150, 20, 5)
    head = LogisticRegression(C=1.0).fit(X, y)
    F = head.decision_function(X)
    assert np.mean(logsumexp(F, axis=1) - F[np.arange(len(y)), y]) < np.log(5)


def test_unknown_multi_class_is_refused():
    with pytest.raises(ValueError, match="multi_class must be"):
        LogisticRegression(multi_class="both").fit([[0.0], [1.0]], [0, 1])
