"""Heads trained on features of which a random part is dropped."""

import numpy as np
import pytest

from decaf.heads import LinearSVM, LogisticRegression
from decaf.heads.dropout import DropoutLogisticRegression, DropoutSVM

PAIRS = [(DropoutSVM, LinearSVM), (DropoutLogisticRegression, LogisticRegression)]


def problem(n=300, d=40, k=4):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return (rng.normal(size=(k, d))[y] + 1.5 * rng.normal(size=(n, d))).astype(np.float32), y


@pytest.mark.parametrize(("dropout", "plain"), PAIRS)
@pytest.mark.parametrize("C", [1e-3, 1e-1])
def test_dropping_nothing_comes_near_the_plain_optimum(dropout, plain, C):
    X, y = problem()
    head = dropout(C=C, rate=0, n_epochs=300).fit(X, y)
    wanted = plain(C=C).fit(X, y)
    assert head.converged_
    assert head.objective_ <= 1.05 * wanted.objective_
    agree = head.predict(X) == wanted.predict(X)
    assert agree.mean() > 0.97


def test_dropping_is_ridge_by_the_features_own_variance():
    """The mean squared hinge over masks of rows inside the margin is a quadratic known exactly.

    With C so small that every row stays a support row, the least of
    ``1/2 |w|^2 + C sum E (1 - y w'x m/p)^2`` has a closed form, as
    ``E (w'x m/p)^2 = (w'x)^2 + (1-p)/p sum (w_j x_j)^2``.
    """
    rng = np.random.default_rng(0)
    X = np.abs(rng.normal(size=(200, 6))).astype(np.float32)
    y = (X[:, 0] + 0.3 * rng.normal(size=200) > X[:, 1]).astype(int)
    C, keep = 1e-4, 0.5
    head = DropoutSVM(C=C, rate=1 - keep, n_epochs=600).fit(X, y)
    A = np.hstack([X, np.ones((200, 1))])
    extra = (1 - keep) / keep * np.append((X**2).sum(0), 0)
    wanted = np.linalg.solve(
        np.eye(7) + 2 * C * (A.T @ A + np.diag(extra)), 2 * C * A.T @ np.where(y == 1, 1, -1)
    )
    np.testing.assert_allclose(np.append(head.coef_, head.intercept_), wanted, atol=4e-4)


@pytest.mark.parametrize(("dropout", "_"), PAIRS)
def test_a_path_is_the_single_fits(dropout, _):
    X, y = problem(n=100)
    path = dropout(n_epochs=5).fit_path(X, y, [0.1, 0.01])
    for C, head in zip([0.1, 0.01], path, strict=True):
        assert head.C == C
        np.testing.assert_allclose(
            head.coef_, dropout(C=C, n_epochs=5).fit(X, y).coef_, rtol=1e-3, atol=1e-4
        )


def test_one_seed_is_one_result_and_another_is_another():
    X, y = problem(n=100)
    first, again = (DropoutSVM(n_epochs=5, random_state=1).fit(X, y) for _ in range(2))
    other = DropoutSVM(n_epochs=5, random_state=2).fit(X, y)
    np.testing.assert_array_equal(first.coef_, again.coef_)
    assert not np.array_equal(first.coef_, other.coef_)


def test_scale_of_the_features_is_made_up_for_by_c():
    X, y = problem(n=100)
    one = DropoutLogisticRegression(C=1.0, n_epochs=5).fit(X, y)
    scaled = DropoutLogisticRegression(C=1e-4, n_epochs=5).fit(100 * X, y)
    np.testing.assert_allclose(one.coef_, 100 * scaled.coef_, rtol=1e-2, atol=1e-3)


def test_too_few_epochs_are_said_not_to_have_converged():
    X, y = problem()
    assert not DropoutSVM(C=100, n_epochs=2).fit(X, y).converged_


def test_a_label_matrix_leaves_unsure_rows_out_of_their_class():
    X, y = problem()
    labels = np.where(y[:, None] == np.arange(4), 1, -1)
    labels[:, 1] = 0
    labels[:2, 1] = 1, -1
    head = DropoutSVM().fit(X, labels)
    assert head.predict(X).shape == labels.shape
    assert (head.predict(X)[:, 0] == labels[:, 0]).mean() > 0.8


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_a_rate_outside_its_range_is_refused(rate):
    with pytest.raises(ValueError, match="rate must be"):
        DropoutSVM(rate=rate).fit([[0.0], [1.0]], [0, 1])
