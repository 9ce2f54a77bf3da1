"""C chosen by cross-validation is what single fits on the same folds would choose."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold, cross_val_score

from decaf.heads.cv import LinearSVMCV, LogisticRegressionCV
from decaf.heads.logistic import LogisticRegression
from decaf.heads.svm import LinearSVM

CS = (1e-3, 1e-2, 1e-1, 1.0)
PAIRS = [(LinearSVMCV, LinearSVM), (LogisticRegressionCV, LogisticRegression)]


def problem(n=90, d=30, k=3):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return rng.normal(size=(k, d))[y] + 2.5 * rng.normal(size=(n, d)), y


@pytest.mark.parametrize(("chooser", "single"), PAIRS)
@pytest.mark.parametrize("d", [30, 200])
def test_scores_are_those_of_single_fits(chooser, single, d):
    X, y = problem(d=d)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    head = chooser(Cs=CS, cv=cv).fit(X, y)
    wanted = np.array([cross_val_score(single(C=C), X, y, cv=cv) for C in CS]).T
    np.testing.assert_allclose(head.scores_, wanted, atol=1e-9)
    assert head.C_ in np.array(CS)[wanted.mean(0) == wanted.mean(0).max()]
    refitted = single(C=head.C_).fit(X, y)
    np.testing.assert_allclose(head.coef_, refitted.coef_, atol=1e-5)


@pytest.mark.parametrize(("chooser", "single"), PAIRS)
def test_sample_weights_of_zero_leave_rows_out_of_training(chooser, single):
    X, y = problem()
    weight = np.ones(len(y))
    weight[::9] = 0
    head = chooser(Cs=[0.1], cv=3).fit(X, y, sample_weight=weight)
    kept = weight > 0
    np.testing.assert_allclose(head.coef_, single(C=0.1).fit(X[kept], y[kept]).coef_, atol=1e-5)


def test_a_label_matrix_is_scored_by_mean_average_precision():
    X, y = problem()
    labels = np.where(y[:, None] == np.arange(3), 1, -1)
    labels[::11, 0] = 0
    folds = [(np.arange(60), np.arange(60, 90))]
    head = LinearSVMCV(Cs=CS, cv=folds).fit(X, labels)
    assert head.scores_.shape == (1, len(CS))
    assert (head.scores_ > 1 / 3).all()


def test_a_choice_at_the_edge_of_the_grid_is_said():
    X, y = problem()
    assert LinearSVMCV(Cs=[1e-7, 1e-6], cv=3).fit(X, y).c_at_edge_
    assert LinearSVMCV(Cs=[0.1], cv=3).fit(X, y).c_at_edge_


def test_order_of_the_grid_does_not_matter():
    X, y = problem()
    head = LinearSVMCV(Cs=CS, cv=3)
    other = clone(head).set_params(Cs=CS[::-1])
    np.testing.assert_array_equal(head.fit(X, y).coef_, other.fit(X, y).coef_)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"Cs": [0.0]}, "C must be a positive"), ({"scoring": "beauty"}, "unknown scoring")],
)
def test_bad_arguments_are_refused(arguments, message):
    X, y = problem()
    with pytest.raises(ValueError, match=message):
        LinearSVMCV(**arguments).fit(X, y)
