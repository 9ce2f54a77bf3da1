"""Whatever the features, a head gives finite scores or says what is wrong."""

import numpy as np
import pytest
from quick import slow_unless

from decaf.errors import DataError
from decaf.heads import HEADS, LinearSVM, fit_splits
from decaf.metrics import METRICS
from decaf.types import Split

FAST = {"adaptation": {"hidden": 16, "n_epochs": 4}}
FAST |= {name: {"n_epochs": 5} for name in ("svm-dropout", "logreg-dropout")}


def make(name, **arguments):
    return HEADS[name](device="cpu", **FAST.get(name, {}), **arguments)


def odd_features(rng):
    """Return one of many kinds of features that are not what a net gives."""
    n, d = int(rng.integers(2, 30)), int(rng.choice([1, 2, 7, 40]))
    X = rng.normal(size=(n, d))
    kind = rng.integers(8)
    if kind == 0:
        X = np.zeros_like(X)
    elif kind == 1:
        X = np.full_like(X, rng.normal())
    elif kind == 2:
        X = X[rng.integers(0, 2, n) % n]
    elif kind == 3:
        X[:, rng.random(d) < 0.7] = 0
    elif kind == 4:
        X = np.outer(rng.normal(size=n), rng.normal(size=d))
    elif kind == 5:
        X[rng.integers(n)] *= 10.0 ** rng.integers(3, 40)
    elif kind == 6:
        X[rng.integers(n), rng.integers(d)] = rng.choice([np.nan, np.inf, -np.inf])
    X = X * 10.0 ** rng.choice([-45, -20, -8, 0, 0, 0, 3, 8, 20, 38])
    with np.errstate(over="ignore", under="ignore"):
        return X.astype(rng.choice([np.float16, np.float32, np.float64]))


def odd_labels(rng, n):
    kind = rng.integers(4)
    if kind == 0:
        return np.arange(n) % 2
    if kind == 1:
        return np.arange(n)
    if kind == 2:
        return rng.permutation(np.arange(n) % 3)
    return rng.choice([-1, 0, 1], (n, 3), p=[0.6, 0.1, 0.3])


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("seed", slow_unless(lambda seed: seed < 8, range(40)))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scores_are_finite_or_an_error_says_why(name, seed):
    rng = np.random.default_rng(seed)
    X = odd_features(rng)
    y = odd_labels(rng, len(X))
    C = float(10.0 ** rng.choice([-30, -4, 0, 4, 30]))
    head = make(name, **({"C": C} if "C" in HEADS[name]().get_params() else {}))
    said = None
    try:
        scores = head.fit(X, y).decision_function(X)
    except ValueError as error:
        said = str(error)
    assert len(said) > 20 if said is not None else np.isfinite(scores).all()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("value", [0.0, 7.0])
@pytest.mark.parametrize("d", [3, 50])
def test_equal_features_give_chance(name, value, d):
    X, y = np.full((20, d), value, np.float32), np.repeat([0, 1], 10)
    scores = make(name).fit(X, y).decision_function(X)
    np.testing.assert_allclose(scores, scores[0], atol=1e-5)
    split = Split(np.arange(20), np.arange(20), ((np.arange(0, 20, 2), np.arange(1, 20, 2)),), 0)
    (fitted,) = fit_splits(
        make(name), X, y, [split], c_values=([0.1, 1], 1), score=METRICS["top1"].score
    )
    assert np.isfinite(fitted.decision_function(X)).all()


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize(
    ("value", "found"), [(np.nan, "NaN or infinity"), (np.inf, "NaN"), (1e80, "too large")]
)
def test_rows_that_cannot_be_used_are_named_as_rows_of_all(name, value, found):
    X = np.random.default_rng(0).normal(size=(30, 5))
    X[[14, 23], 2] = value
    train = np.arange(1, 30, 2)  # 23 among them, as its row 11
    split, y = Split(train, np.array([14]), (), 0), np.arange(30) // 2 % 2
    arguments = {"c_values": ([1], 1), "score": METRICS["top1"].score}
    with pytest.raises(DataError, match=rf"{found}.* in 1 rows \(rows 23\)"):
        list(fit_splits(make(name), X, y, [split], **arguments))
    X[23] = 0
    (fitted,) = fit_splits(make(name), X, y, [split], **arguments)
    with pytest.raises(DataError, match="cannot score rows"):
        fitted.decision_function(X[split.test])


@pytest.mark.parametrize("name", ["svm", "logreg"])
def test_a_very_wide_grid_ends_with_the_best_of_it(name):
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = (rng.normal(size=(3, 10))[y] + 0.2 * rng.normal(size=(60, 10))).astype(np.float32)
    folds = ((np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30)))
    split = Split(np.arange(60), np.arange(60), folds, 0)
    grid = 10.0 ** np.arange(-30, 31, 10)
    (fitted,) = fit_splits(
        make(name), X, y, [split], c_values=(grid, 1), score=METRICS["top1"].score
    )
    assert METRICS["top1"].score(y, fitted.decision_function(X), fitted.head.classes_) == 1


def several_labels():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = (3 * rng.normal(size=(3, 10))[y] + rng.normal(size=(60, 10))).astype(np.float32)
    return X, np.where(y[:, None] == np.arange(3), 1, -1)


@pytest.mark.parametrize("name", HEADS)
def test_a_class_that_no_row_has_is_left_out_and_named(name):
    X, Y = several_labels()
    Y[:, 2] = -1
    Y[7, 2] = 1  # in the final fit, and in one of two folds
    folds = ((np.arange(30), np.arange(30, 60)), (np.arange(30, 60), np.arange(30)))
    arguments = {"c_values": ([0.1, 1, 10], 1), "score": METRICS["map_area"].score}
    arguments |= {"class_names": ["cat", "dog", "unicorn"]}
    split = Split(np.arange(60), np.arange(60), folds, 0)
    (fitted,) = fit_splits(make(name), X, Y, [split], **arguments)
    assert fitted.notes == ()
    assert np.isfinite(fitted.validation).all()
    np.testing.assert_array_equal(fitted.scored(Y), Y)

    Y[7, 2] = -1
    (fitted,) = fit_splits(make(name), X, Y, [split], **arguments)
    assert fitted.notes == ("classes left out, as no training row has them: unicorn",)
    scores = fitted.decision_function(X)
    assert (scores[:, 2] < 0).all()
    assert not fitted.scored(Y)[:, 2].any()
    (without,) = fit_splits(make(name), X, Y[:, :2], [split], **arguments)
    if name in {"svm", "logreg", "knn"}:  # the others draw other weights for two classes
        np.testing.assert_allclose(scores[:, :2], without.decision_function(X), atol=1e-3)

    Y[:, 2] = 1
    (fitted,) = fit_splits(make(name), X, Y, [split], **arguments)
    assert fitted.notes == ("classes left out, as all training rows have them: unicorn",)
    assert (fitted.decision_function(X)[:, 2] > 0).all()


def test_labels_of_which_nothing_can_be_learned_are_refused():
    X, Y = several_labels()
    with pytest.raises(ValueError, match="one class in every column"):
        LinearSVM().fit(X, np.ones_like(Y))
