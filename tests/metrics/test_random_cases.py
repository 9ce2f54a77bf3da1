"""Metrics of random scores, with ties and absent classes, are scikit-learn's."""

import warnings

import numpy as np
import pytest
from quick import slow_unless
from sklearn import metrics as theirs
from sklearn.exceptions import UndefinedMetricWarning

from decaf.errors import ConfigError
from decaf.metrics import METRICS, asked_metrics, reliability
from decaf.rowwise import probabilities

CASES = pytest.mark.parametrize(
    "seeds", slow_unless(lambda seeds: seeds.start == 0, [range(60), range(60, 300)]), ids=str
)


def case(seed, several):
    """Return labels, scores of few values, and classes, of which some have no row."""
    rng = np.random.default_rng(seed)
    n, n_classes = int(rng.integers(12, 60)), 4 if several else int(rng.integers(6, 12))
    scores = rng.integers(-3, 4, (n, n_classes)) / rng.choice([1.0, 2.0])
    if several:
        labels = rng.choice([1, -1, 0], (n, n_classes), p=[0.2, 0.7, 0.1])
        labels[:, rng.integers(n_classes)] = -1
        return labels, scores, np.arange(n_classes)
    present = rng.choice(n_classes, int(rng.integers(2, n_classes)), replace=False)
    return rng.choice(present, n), scores, np.arange(n_classes)


def ours(name, labels, scores, classes):
    metric = METRICS[name]
    p = probabilities(scores, exclusive=labels.ndim == 1)
    return metric.score(labels, scores if metric.of == "scores" else p, classes)


@CASES
def test_of_one_label(seeds):
    for seed in seeds:
        y, scores, classes = case(seed, several=False)
        p = probabilities(scores, exclusive=True)
        predicted = scores.argmax(1)
        with warnings.catch_warnings():
            # a class that is only predicted has no recall, and one that is absent no area
            warnings.simplefilter("ignore", (UserWarning, UndefinedMetricWarning))
            binary = theirs.roc_auc_score(y, p, multi_class="ovr", average=None, labels=classes)
            expected = {
                "top1": theirs.accuracy_score(y, predicted),
                "mean_per_class": theirs.balanced_accuracy_score(y, predicted),
                "top5": theirs.top_k_accuracy_score(y, scores, k=5, labels=classes),
                "macro_f1": theirs.f1_score(y, predicted, average="macro", zero_division=0),
                "log_loss": theirs.log_loss(y, p, labels=classes),
                "auroc": np.nanmean(binary),
            }
        found = {name: ours(name, y, scores, classes) for name in expected}
        np.testing.assert_allclose(list(found.values()), list(expected.values()), err_msg=seed)


@CASES
def test_of_several_labels(seeds):
    for seed in seeds:
        Y, scores, classes = case(seed, several=True)
        counted, P = Y != 0, probabilities(scores, exclusive=False)
        pairs = [(y[y != 0] > 0, s[y != 0]) for y, s in zip(Y.T, scores.T, strict=True)]
        areas = [theirs.roc_auc_score(y, s) for y, s in pairs if y.any()]
        f1 = [theirs.f1_score(y, s > 0) for y, s in pairs if (y | (s > 0)).any()]
        of_all = theirs.log_loss(Y[counted] > 0, P[counted], labels=[False, True])
        np.testing.assert_allclose(
            [ours(name, Y, scores, classes) for name in ("auroc", "macro_f1", "log_loss")],
            [np.mean(areas), np.mean(f1), of_all],
            err_msg=seed,
        )


def test_two_classes_have_one_column():
    rng = np.random.default_rng(0)
    y, s = rng.integers(0, 2, 50), rng.standard_normal(50)
    classes = np.array([0, 1])
    p = probabilities(s, exclusive=True)
    np.testing.assert_allclose(p[:, 1], 1 / (1 + np.exp(-s)))
    np.testing.assert_allclose(METRICS["auroc"].score(y, p, classes), theirs.roc_auc_score(y, s))
    np.testing.assert_allclose(METRICS["log_loss"].score(y, p, classes), theirs.log_loss(y, p))
    np.testing.assert_allclose(METRICS["macro_f1"].score(y, s, classes),
                               theirs.f1_score(y, s > 0, average="macro"))  # fmt: skip


def test_a_label_that_a_head_does_not_know_is_always_wrong():
    y, classes = np.array([9, 9, 1, 2]), np.arange(6)
    p = probabilities(np.eye(6)[[3, 4, 1, 2]] * 50, exclusive=True)
    assert METRICS["top5"].score(y, p, classes) == 0.5
    assert METRICS["log_loss"].score(y, p, classes) > 15
    assert METRICS["ece"].score(y, p, classes) == 0.5


def test_calibration_error_by_hand():
    # (0.4, 0.6]: 0.5 wrong, 0.6 right; (0.6, 0.8]: 0.8 right; (0.8, 1]: 0.9 wrong, 1 right, 1 right
    confidence = np.array([0.5, 0.6, 0.8, 0.9, 1.0, 1.0])
    right = np.array([0, 1, 1, 0, 1, 1])
    p = np.stack([1 - confidence, confidence], axis=1)
    p[0] = [0.5, 0.5]  # of equal ones the first is taken
    y = np.array([1, 1, 1, 0, 1, 1])
    found = reliability(y, p, np.array([0, 1]), n_bins=5)
    assert found.counts.tolist() == [0, 0, 2, 1, 3]
    np.testing.assert_allclose(found.accuracy, [np.nan, np.nan, right[:2].mean(), 1, 2 / 3])
    np.testing.assert_allclose(found.confidence[2:], [0.55, 0.8, 2.9 / 3])
    by_hand = (2 * abs(0.5 - 0.55) + 1 * abs(1 - 0.8) + 3 * abs(2 / 3 - 2.9 / 3)) / 6
    np.testing.assert_allclose(found.error, by_hand)


def test_names_of_metrics():
    asked = ["accuracy", "balanced-accuracy", "macro_f1", "log-loss", "top1"]
    keys = asked_metrics(asked, "one", 9)
    assert keys == ("top1", "mean_per_class", "macro_f1", "log_loss")


@pytest.mark.parametrize(
    ("name", "several", "said"),
    [
        ("macro-f2", False, "unknown metric 'macro-f2'; did you mean 'macro-f1'"),
        ("top5", False, "found 5 classes, of which every one is among the first five"),
        ("ece", True, "found several labels an image, and it is for one label"),
        ("map", False, "found one label an image, and it is for several labels"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused(name, several, said):
    with pytest.raises(ConfigError, match=said):
        asked_metrics([name], "several" if several else "one", 5)
