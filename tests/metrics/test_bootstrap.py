"""Intervals for one split hold what they promise."""

import numpy as np
import pytest

from decaf.metrics import METRICS
from decaf.metrics.average_precision import resampled_ap
from decaf.metrics.bootstrap import ScoredRows, interval, resampled

N_SETS = 500
CLASSES = np.arange(5)


def one_set(rng, share, groups=None):
    """Return the scores of a head that is right with some probability, each row its own."""
    labels = rng.integers(0, len(CLASSES), len(share))
    said = np.where(rng.random(len(share)) < share, labels, (labels + 1) % len(CLASSES))
    return ScoredRows(labels, [np.eye(len(CLASSES))[said]], [CLASSES], groups)


def covered(sets, metric, truth):
    """Return the share of sets whose interval holds the truth."""
    found = []
    for seed, tested in enumerate(sets):
        value = METRICS[metric].score(tested.labels, tested.scores[0], CLASSES)
        low, high = interval(resampled(tested, metric, seed=seed)[0], value)
        found.append(low <= truth <= high)
    return np.mean(found)


@pytest.mark.parametrize("metric", ["top1", "mean_per_class"])
def test_of_500_test_sets_95_percent_are_covered(metric):
    rng = np.random.default_rng(0)
    sets = (one_set(rng, np.full(200, 0.7)) for _ in range(N_SETS))
    assert 0.93 <= covered(sets, metric, 0.7) <= 0.97


@pytest.mark.slow
def test_groups_need_the_bootstrap_of_groups():
    """Ten images of each of 60 patients, whose share of right answers is 2/3 on average."""
    patients = np.repeat(np.arange(60), 10)

    def sets(groups):
        rng = np.random.default_rng(1)
        return (one_set(rng, rng.beta(2, 1, 60)[patients], groups) for _ in range(N_SETS))

    assert 0.93 <= covered(sets(patients), "top1", 2 / 3) <= 0.97
    assert covered(sets(None), "top1", 2 / 3) < 0.85


def test_the_interval_is_as_wide_as_theory_says():
    rng = np.random.default_rng(0)
    tested = one_set(rng, np.full(2000, 0.8))
    share = METRICS["top1"].score(tested.labels, tested.scores[0], CLASSES)
    low, high = interval(resampled(tested, "top1", n_resamples=20_000)[0], share)
    np.testing.assert_allclose(
        high - low, 2 * 1.96 * np.sqrt(share * (1 - share) / 2000), rtol=0.03
    )


def test_resamples_are_those_of_rows():
    """The mean per-class accuracy, drawn cell by cell, spreads as if drawn row by row."""
    rng = np.random.default_rng(3)
    tested = one_set(rng, rng.random(40))
    alone = ScoredRows(tested.labels, tested.scores, tested.classes, np.arange(40))
    found = [resampled(t, "mean_per_class", n_resamples=20_000)[0] for t in (tested, alone)]
    quantiles = np.quantile(found, [0.05, 0.5, 0.95], axis=1)
    np.testing.assert_allclose(quantiles[:, 0], quantiles[:, 1], atol=0.01)


@pytest.mark.parametrize("rule", ["map_area", "map_11pt"])
def test_precision_of_a_resample_is_that_of_its_rows(rule):
    rng = np.random.default_rng(0)
    labels = rng.choice([1, -1, 0], (40, 4), p=[0.2, 0.7, 0.1])
    labels[:, 3] = -1
    scores = rng.integers(0, 9, (40, 4)).astype(float)
    drawn = rng.multinomial(40, np.full(40, 1 / 40), 30)
    expected = [
        METRICS[rule].score(labels[rows], scores[rows], np.arange(4))
        for rows in (np.repeat(np.arange(40), one) for one in drawn)
    ]
    np.testing.assert_allclose(resampled_ap(labels, scores, drawn, rule), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["map_area", "map_11pt"])
def test_of_1000_test_sets_95_percent_cover_the_mean_precision(rule):
    rng = np.random.default_rng(7)

    def one():
        labels = np.where(rng.random((300, 3)) < 0.3, 1, -1)
        return labels, rng.standard_normal(labels.shape) + 0.8 * labels

    score = METRICS[rule].score
    truth = np.mean([score(*one(), None) for _ in range(2000)])
    found = []
    for seed in range(1000):
        labels, scores = one()
        tested = ScoredRows(labels, [scores], [np.arange(3)])
        drawn = resampled(tested, rule, seed=seed, n_resamples=200)[0]
        low, high = interval(drawn, score(labels, scores, None), of_precision=True)
        found.append(low <= truth <= high)
    assert 0.93 <= np.mean(found) <= 0.97


def test_one_seed_draws_the_same_and_a_class_that_is_always_right_has_no_spread():
    tested = one_set(np.random.default_rng(0), np.ones(30))
    np.testing.assert_array_equal(
        resampled(tested, "top1", seed=2), resampled(tested, "top1", seed=2)
    )
    assert interval(resampled(tested, "mean_per_class")[0], 1.0) == (1.0, 1.0)
    assert (tested.over, ScoredRows([0, 1], [], [], np.array(["a", "a"])).over) == (
        "30 images",
        "1 groups",
    )
