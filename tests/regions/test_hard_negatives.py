from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize

from decaf.errors import DataError
from decaf.regions.hard_negatives import BIAS, Mining, SvmRule, mine, train_svm
from decaf.tensor_file import read_tensors, write_tensors


@dataclass
class Drawn:
    """Two classes of objects among many other boxes; row 7 of each image is near its object."""

    n_images: int = 12
    per_image: int = 40
    n_features: int = 6

    def __post_init__(self):
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(self.n_images * self.per_image, self.n_features))
        self.label = np.full(len(self.X), -1)
        self.label[:: self.per_image] = np.arange(self.n_images) % 2
        self.X[np.arange(len(self.X)), self.label] += 4 * (self.label >= 0)
        self.X = self.X.astype(np.float32)
        self.read = []

    @property
    def positives(self):
        return [np.flatnonzero(self.label == number) for number in range(2)]

    def rows(self, image):
        return np.arange(image * self.per_image, (image + 1) * self.per_image)

    def overlaps(self, image):
        found = np.zeros((self.per_image, 2))
        found[0, image % 2], found[7, image % 2] = 1, 0.4
        return found

    def features(self, rows):
        self.read.append(len(rows))
        return self.X[rows]


def objective(w, b, X, y, rule):
    weight = np.where(y > 0, rule.positive_weight, 1) * rule.C
    return (w @ w + (b / BIAS) ** 2) / 2 + (weight * np.maximum(0, 1 - y * (X @ w + b))).sum()


@pytest.mark.parametrize("C", [1e-3, 1.0])
def test_the_svm_is_at_the_least_value_of_its_objective(C):
    """The dual, solved by another method, has the same value at its end."""
    source, rule = Drawn(), SvmRule(C=C)
    X, y = source.X[:200].astype(float), np.where(source.label[:200] == 0, 1, -1)
    Z = np.hstack([X, np.full((len(X), 1), BIAS)]) * y[:, None]
    most = np.where(y > 0, rule.positive_weight, 1) * C
    best = minimize(
        lambda a: (((a @ Z) ** 2).sum() / 2 - a.sum(), Z @ (a @ Z) - 1),
        most / 2, jac=True, method="L-BFGS-B", bounds=[(0, m) for m in most],
        options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 100_000, "maxfun": 1_000_000},
    )  # fmt: skip
    found = objective(*train_svm(X, y > 0, rule), X, y, rule)
    assert found == pytest.approx(-best.fun, rel=1e-6)


def test_mining_ends_in_the_svm_of_all_negatives():
    source, rule = Drawn(), SvmRule(C=0.1)
    found, again = mine(source, rule), mine(source, SvmRule(C=0.1, epochs=4))
    for number in range(2):
        rows = np.concatenate([source.positives[number], away(source, number)])
        X, y = source.X[rows].astype(float), np.where(source.label[rows] == number, 1, -1)
        least = objective(*train_svm(X, y > 0, rule), X, y, rule)
        once = objective(found.weights[number].astype(float), found.bias[number], X, y, rule)
        assert least * (1 - 1e-5) <= once <= least * 1.02
        more = objective(again.weights[number].astype(float), again.bias[number], X, y, rule)
        assert more == pytest.approx(least, rel=1e-4)
        assert len(found.negatives[number]) < len(rows) / 2


def away(source, number):
    return np.concatenate(
        [source.rows(i)[source.overlaps(i)[:, number] < 0.3] for i in range(source.n_images)]
    )


def test_negatives_are_all_boxes_away_from_the_objects_of_the_class():
    """Where C is so small that none is easy; objects of the other class are among them."""
    source = Drawn()
    for number, rows in enumerate(mine(source, SvmRule(C=1e-7)).negatives):
        assert np.array_equal(rows, away(source, number))
        assert len(rows) == 6 * 38 + 6 * 40


def test_a_stopped_training_goes_on_to_the_same_svms(tmp_path):
    whole, stops = mine(Drawn()), []

    def stop(at):
        stops.append(at.n_done)
        if at.n_done == 5:
            write_tensors(tmp_path / "state", at.tensors(), {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mine(Drawn(), after_image=stop)
    start = Mining.of_tensors(read_tensors(tmp_path / "state")[0])
    again = mine(Drawn(), start=start, after_image=lambda at: stops.append(at.n_done))
    assert stops == list(range(1, 13))
    assert np.array_equal(again.weights, whole.weights)
    assert np.array_equal(again.bias, whole.bias)


def test_what_cannot_be_trained_is_said():
    source = Drawn()
    source.label[source.label == 1] = -1
    with pytest.raises(DataError, match="classes without an object"):
        mine(source)
    near = Drawn()
    near.overlaps = lambda image: np.ones((near.per_image, 2))
    with pytest.raises(DataError, match=r"no box away from the objects of the classes \[0, 1\]"):
        mine(near)
