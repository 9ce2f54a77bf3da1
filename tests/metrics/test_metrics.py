import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import t as student
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    precision_recall_curve,
)

from decaf.metrics import (
    METRICS,
    accuracy,
    average_precision_11pt,
    average_precision_area,
    confusion,
    mean_ap,
    mean_per_class_accuracy,
    per_class_accuracy,
    per_class_ap,
    predicted_classes,
    summary,
)

RULES = [average_precision_11pt, average_precision_area]
both = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)


def test_accuracies_by_hand():
    labels, predicted = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])
    assert accuracy(labels, predicted) == 0.75
    np.testing.assert_allclose(mean_per_class_accuracy(labels, predicted), (2 / 3 + 1) / 2)
    np.testing.assert_allclose(per_class_accuracy(labels, predicted, 3), [2 / 3, 1, np.nan])


def test_a_class_without_rows_does_not_count():
    assert mean_per_class_accuracy(np.array([0, 2]), np.array([0, 1])) == 0.5


@given(arrays(np.int64, 30, elements=st.integers(0, 4)), st.integers(0, 99))
def test_accuracies_are_scikit_learns(labels, seed):
    assume(len(np.unique(labels)) > 1)  # scikit-learn warns of a single class
    predicted = np.random.default_rng(seed).permutation(labels)
    np.testing.assert_allclose(accuracy(labels, predicted), accuracy_score(labels, predicted))
    np.testing.assert_allclose(
        mean_per_class_accuracy(labels, predicted), balanced_accuracy_score(labels, predicted)
    )


def test_predicted_class_has_the_highest_score():
    scores = np.array([[0.1, 0.9, 0.3], [0.2, 0.1, 0.0]])
    assert predicted_classes(scores, np.array([4, 5, 7])).tolist() == [5, 4]


def test_two_classes_have_one_column_of_scores():
    assert predicted_classes(np.array([-1.0, 2.0]), np.array([3, 8])).tolist() == [3, 8]


# from the top: hit, miss, hit, miss; precision 1, 1/2, 2/3, 1/2 at recall 1/2, 1/2, 1, 1
HAND_LABELS, HAND_SCORES = np.array([1, -1, 1, -1]), np.array([4.0, 3.0, 2.0, 1.0])


def test_11_point_precision_by_hand():
    # recalls 0 to 0.5 (six of them) see precision 1, the five above see 2/3
    expected = (6 * 1 + 5 * 2 / 3) / 11
    np.testing.assert_allclose(average_precision_11pt(HAND_LABELS, HAND_SCORES), expected)


def test_area_by_hand():
    expected = 0.5 * 1 + 0.5 * 2 / 3
    np.testing.assert_allclose(average_precision_area(HAND_LABELS, HAND_SCORES), expected)


def test_envelope_lifts_a_dip():
    # miss, hit, hit: precision 0, 1/2, 2/3; the envelope makes it 2/3 throughout
    labels, scores = np.array([-1, 1, 1]), np.array([3.0, 2.0, 1.0])
    np.testing.assert_allclose(average_precision_area(labels, scores), 2 / 3)
    np.testing.assert_allclose(average_precision_11pt(labels, scores), 2 / 3)


def test_recall_of_three_tenths_reaches_the_threshold_of_three_tenths():
    # ten positives, of which the first three come before a miss: recall 0.3 exactly
    labels = np.array([1, 1, 1, -1] + [1] * 7)
    expected = (4 * 1 + 7 * 10 / 11) / 11
    np.testing.assert_allclose(average_precision_11pt(labels, -np.arange(11.0)), expected)


@both
def test_difficult_rows_count_as_neither(rule):
    labels, scores = np.array([0, 1, 0, -1, 1, -1, 0]), np.array([9.0, 4.0, 3.5, 3.0, 2.0, 1.0, 0])
    assert rule(labels, scores) == rule(HAND_LABELS, HAND_SCORES)


@both
@pytest.mark.parametrize("labels", [[-1, -1], [0, 0], [0, -1], []])
def test_without_a_positive_there_is_no_precision(rule, labels):
    assert np.isnan(rule(np.array(labels, np.int8), np.zeros(len(labels))))


@both
@given(arrays(np.float64, 12, elements=st.floats(-5, 5)))
def test_all_positive_is_perfect(rule, scores):
    assert rule(np.ones(12, np.int8), scores) == 1.0


LABELS = arrays(np.int8, 25, elements=st.sampled_from([1, -1, 0]))
TIED = arrays(np.float64, 25, elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]))


@both
@given(LABELS, TIED, st.integers(0, 99))
def test_ties_do_not_depend_on_the_order_of_rows(rule, labels, scores, seed):
    order = np.random.default_rng(seed).permutation(25)
    np.testing.assert_equal(rule(labels[order], scores[order]), rule(labels, scores))


@given(LABELS, TIED)
def test_area_is_that_under_scikit_learns_curve_made_monotone(labels, scores):
    known = labels != 0
    assume((labels > 0).any())
    precision, recall, _ = precision_recall_curve(labels[known] > 0, scores[known])
    envelope = np.maximum.accumulate(precision[:-1])  # scikit-learn lists the lowest score first
    expected = np.sum(-np.diff(recall) * envelope)
    np.testing.assert_allclose(average_precision_area(labels, scores), expected)
    step_wise = average_precision_score(labels[known] > 0, scores[known])
    assert average_precision_area(labels, scores) >= step_wise - 1e-12


@given(LABELS, TIED)
def test_11_point_precision_is_the_devkits_formula(labels, scores):
    known = labels != 0
    assume((labels > 0).any())
    precision, recall, _ = precision_recall_curve(labels[known] > 0, scores[known])
    expected = np.mean([precision[:-1][recall[:-1] >= i / 10 - 1e-9].max() for i in range(11)])
    np.testing.assert_allclose(average_precision_11pt(labels, scores), expected)


@both
def test_mean_ap_leaves_out_classes_that_no_row_has(rule):
    labels = np.stack([HAND_LABELS, np.array([-1, -1, 0, -1])], axis=1)
    scores = np.stack([HAND_SCORES, HAND_SCORES], axis=1)
    values = per_class_ap(labels, scores, rule)
    assert np.isnan(values[1])
    assert mean_ap(labels, scores, rule) == values[0]
    assert np.isnan(mean_ap(labels[:, 1:], scores[:, 1:], rule))


@pytest.mark.parametrize("several", [False, True])
def test_every_metric_has_its_best_value_for_a_perfect_head(several):
    classes = np.arange(6)
    labels = np.array([0, 1, 2, 3, 4, 5, 1])
    matrix = np.where(labels[:, None] == classes, 1, -1)
    truth = matrix if several else labels
    for metric in METRICS.values():
        if metric.labels in ("number", "one" if several else "several"):
            continue
        given = matrix * 50.0 if metric.of == "scores" else (matrix + 1) / 2
        lower = metric.name in {"log_loss", "ece"}
        np.testing.assert_allclose(
            metric.score(truth, given, classes), 0 if lower else 1, atol=1e-9
        )
        if metric.per_class:
            assert metric.per_class(truth, given, classes, 6).tolist() == [1.0] * 6
        assert not metric.other or metric.other in METRICS


def test_summary_by_hand():
    found = summary([0.8, 0.9, 1.0])
    half = student.ppf(0.975, 2) * 0.1 / 3**0.5
    np.testing.assert_allclose(
        [found.mean, found.std, found.ci95_low, found.ci95_high], [0.9, 0.1, 0.9 - half, 0.9 + half]
    )
    assert found.n == 3


def test_one_split_has_no_spread():
    found = summary([0.8])
    assert (found.mean, found.n) == (0.8, 1)
    assert np.isnan([found.std, found.ci95_low, found.ci95_high]).all()


def test_confusion_counts_every_pair_and_shows_one():
    labels, predicted = np.array([2, 0, 2, 2, 0]), np.array([2, 0, 0, 0, 1])
    assert confusion(labels, predicted) == [(0, 0, 1, 1), (0, 1, 1, 4), (2, 0, 2, 2), (2, 2, 1, 0)]
