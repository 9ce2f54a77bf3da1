"""Where a head starts, though a class lacks rows in a part."""

import numpy as np
from scipy.special import log_softmax

from decaf.finetuning.start import Frozen, linear_starts
from decaf.types import Split


def frozen_features() -> tuple[Frozen, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    X = rng.normal(size=(200, 12)).astype(np.float32)
    X[np.arange(200), labels] += 1.5
    return Frozen(X, "none", (0.1,), 0.1, lambda *_: 0.0, "cpu"), labels


def test_the_temperature_is_right_where_a_class_has_no_held_out_row() -> None:
    """It minimises the held-out loss of all four columns, found here by trying many."""
    frozen, labels = frozen_features()
    rows = np.arange(200)
    held_out = rows[(rows % 4 == 0) & (labels != 1)]
    fit = np.setdiff1d(rows, held_out)
    split = Split(rows, rows[:0], (), 0)
    weight, bias = linear_starts("svm", frozen, labels, split, (fit, held_out)).part
    logits = frozen.X[held_out] @ weight.T + bias

    def loss(factor: float) -> float:
        said = log_softmax(factor * logits, axis=1)
        return -float(said[np.arange(len(held_out)), labels[held_out]].mean())

    factors = np.geomspace(0.05, 20, 200)
    best = factors[int(np.argmin([loss(factor) for factor in factors]))]
    np.testing.assert_allclose(best, 1, atol=0.05)


def test_a_class_that_is_held_out_whole_has_a_row_of_the_head() -> None:
    frozen, labels = frozen_features()
    rows = np.arange(200)
    held_out = rows[(rows % 4 == 0) | (labels == 2)]
    fit = np.setdiff1d(rows, held_out)
    split = Split(rows, rows[:0], (), 0)
    starts = linear_starts("logreg", frozen, labels, split, (fit, held_out))
    assert starts.part[0].shape == starts.whole[0].shape == (4, 12)
    said = (frozen.X @ starts.part[0].T + starts.part[1]).argmax(1)
    assert not (said[fit] == 2).any()
    assert (said[fit] == labels[fit]).mean() > 0.7
