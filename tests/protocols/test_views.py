from dataclasses import replace

import numpy as np
import pytest

from decaf.metrics import METRICS
from decaf.protocols import PROTOCOLS, view_features
from decaf.protocols.by_view import rows_of_views
from decaf.types import Split

PLAIN = PROTOCOLS["*"]["holdout"]
AUGMENTED = replace(PLAIN, train_views="separate", test_views="sum")
FEATURES = np.random.default_rng(0).standard_normal((6, 3, 4)).astype(np.float32)
ROWS = np.array([1, 4])
CLASSES = np.arange(2)


def test_the_mean_over_views_is_the_default():
    found = view_features(FEATURES, PLAIN)
    assert found.train is found.test
    np.testing.assert_allclose(found.train, FEATURES.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.train, view_features(found.train, PLAIN).train)


def test_separate_views_are_rows_with_their_images_label():
    found = view_features(FEATURES, AUGMENTED)
    split = found.training_split(Split(ROWS, np.array([0]), ((ROWS[:1], ROWS[1:]),), 7))
    np.testing.assert_array_equal(found.train[split.train], FEATURES[ROWS].reshape(6, 4))
    np.testing.assert_array_equal(split.train, [3, 4, 5, 12, 13, 14])
    np.testing.assert_array_equal(split.inner[0][1], [12, 13, 14])
    np.testing.assert_array_equal(split.test, [0])
    labels = np.arange(6) * 10
    np.testing.assert_array_equal(found.labels(labels)[split.train], [10] * 3 + [40] * 3)
    matrix = found.labels(np.eye(6, dtype=np.int8))
    np.testing.assert_array_equal(matrix[split.train].sum(0), [0, 3, 0, 0, 3, 0])


@pytest.mark.parametrize("one_column", [True, False])
def test_scores_are_summed_over_views(one_column):
    def decision_function(X):
        return X[:, 0] if one_column else X[:, :2]

    found = view_features(FEATURES, AUGMENTED)
    expected = FEATURES[ROWS].sum(1)[:, 0] if one_column else FEATURES[ROWS].sum(1)[:, :2]
    np.testing.assert_allclose(
        found.test_scores(decision_function, ROWS, CLASSES), expected, rtol=1e-5
    )


def test_the_choice_of_c_scores_images_and_not_views():
    found = view_features(FEATURES[:, :2], AUGMENTED)
    score = found.validation_score(METRICS["top1"].score)
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[3.0, 0], [0, 1], [1, 0], [0, 0.5]])  # the sums are right and wrong
    assert score(labels, scores, np.array([0, 1])) == 0.5


def test_views_may_train_as_their_mean_and_test_one_by_one():
    found = view_features(FEATURES, replace(PLAIN, test_views="sum", normalize="l2"))
    assert (found.train.shape, found.test.shape) == ((6, 4), (18, 4))
    np.testing.assert_allclose(np.linalg.norm(found.train, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.test, axis=1), 1, rtol=1e-6)


def test_rows_of_views_of_one_view_are_the_rows():
    np.testing.assert_array_equal(rows_of_views(ROWS, 1), ROWS)


@pytest.mark.parametrize("name", ["birds", "mit67", "voc2007"])
def test_razavian_augmented_differs_in_views_and_power_only(name):
    plain, augmented = (PROTOCOLS[name][p] for p in ("razavian", "razavian-aug"))
    assert (augmented.train_views, augmented.test_views) == ("separate", "sum")
    assert augmented.view == "razavian-16"
    changed = {"name", "view", "normalize", "train_views", "test_views", "notes"}
    same = {f: getattr(plain, f) for f in vars(plain) if f not in changed}
    assert same == {f: getattr(augmented, f) for f in same}


def test_birds_are_cropped_to_their_boxes():
    for protocol in ("decaf", "razavian", "razavian-aug"):
        rule = PROTOCOLS["birds"][protocol]
        assert (rule.box, rule.box_scale) == ("crop", 1.5)
