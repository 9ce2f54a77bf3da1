"""C chosen inside a split is what single fits on the same folds would choose."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold, cross_val_score

from decaf.heads import LinearSVM, LogisticRegression, fit_splits
from decaf.metrics import METRICS
from decaf.types import Split

CS = (1e-3, 1e-2, 1e-1, 1.0)


def problem(n=90, d=30, k=3):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return rng.normal(size=(k, d))[y] + 2.5 * rng.normal(size=(n, d)), y


def fitted(head, X, y, Cs, folds=(), metric="top1"):
    split = Split(np.arange(len(y)), np.arange(0), tuple(folds), 0)
    (one,) = fit_splits(head, X, y, [split], c_values=(Cs, 1), score=METRICS[metric].score)
    return one


@pytest.mark.parametrize("head", [LinearSVM, LogisticRegression])
@pytest.mark.parametrize("d", [30, 200])
def test_scores_are_those_of_single_fits(head, d):
    X, y = problem(d=d)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    found = fitted(head(), X, y, CS[::-1], cv.split(X, y))
    wanted = np.mean([cross_val_score(head(C=C), X, y, cv=cv) for C in CS], axis=1)
    np.testing.assert_allclose(found.validation, wanted, atol=1e-9)
    assert found.C in np.array(CS)[wanted == wanted.max()]
    np.testing.assert_allclose(found.head.coef_, head(C=found.C).fit(X, y).coef_, atol=1e-5)


def test_a_label_matrix_is_scored_by_mean_average_precision():
    X, y = problem()
    labels = np.where(y[:, None] == np.arange(3), 1, -1)
    labels[::11, 0] = 0
    folds = [(np.arange(60), np.arange(60, 90))]
    validation = fitted(LinearSVM(), X, labels, CS, folds, "map_area").validation
    assert validation.shape == (len(CS),)
    assert (validation > 1 / 3).all()


def test_a_choice_at_the_edge_of_the_grid_is_said():
    X, y = problem()
    folds = [(np.arange(60), np.arange(60, 90))]
    assert fitted(LinearSVM(), X, y, [1e-7, 1e-6], folds).c_at_edge
    assert not fitted(LinearSVM(), X, y, [1e-7]).c_at_edge
