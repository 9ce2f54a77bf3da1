"""Draws of images with several labels, for training and for the choice of C."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proper_splits import check_is_split

from decaf.errors import ConfigError, DataError
from decaf.protocols import PROTOCOLS, PublishedProtocol, Selection
from decaf.protocols.draw import Strata, folds, hold_out

SIXTH = Selection("holdout", share=1 / 6)
HOLDOUT = PublishedProtocol("p", "holdout", 3, "top1", SIXTH)
KFOLD = PublishedProtocol("p", "kfold", 4, "top1", SIXTH)


def voc_labels(n_rows, seed=0):
    """Labels of two classes; each has positives, negatives and ignored rows."""
    return np.random.default_rng(seed).choice(
        np.array([1, 0, -1], np.int8), (n_rows, 2), p=[0.2, 0.1, 0.7]
    )


def voc_table(make_table, n_train=160, n_test=20):
    sides = np.repeat(np.array([1, 2, 3], np.int8), [n_train // 2, n_train // 2, n_test])[:, None]
    return make_table(labels=voc_labels(n_train + n_test), name="voc2007", official=sides)


def test_low_shot_draws_each_class_by_itself_from_the_training_side(make_table):
    table = voc_table(make_table)
    rule = replace(PROTOCOLS["voc2007"]["fair-lowshot"], train_per_class=3)
    splits = list(rule.splits(table))
    assert len(splits) == 5
    for split in splits:
        assert split.train.max() < 160
        np.testing.assert_array_equal(split.test, np.arange(160, 180))
        np.testing.assert_array_equal((split.labels == 1).sum(0), [3, 3])
        np.testing.assert_array_equal((split.labels == -1).sum(0), [57, 57])
        drawn = split.labels != 0
        np.testing.assert_array_equal(split.labels[drawn], table.labels[split.train][drawn])
        assert drawn.any(1).all()
        assert split.inner == ()
    assert not np.array_equal(splits[0].train, splits[1].train)


def test_fewer_low_shots_are_part_of_more(make_table):
    table = voc_table(make_table)
    rule = PROTOCOLS["voc2007"]["fair-lowshot"]
    (few, *_), (more, *_) = (replace(rule, train_per_class=shots).splits(table) for shots in (1, 3))
    labels = np.zeros((180, 2), np.int8)
    labels[more.train] = more.labels
    drawn = few.labels != 0
    np.testing.assert_array_equal(labels[few.train][drawn], few.labels[drawn])


def test_too_many_low_shots_are_refused(make_table):
    rule = replace(PROTOCOLS["voc2007"]["fair-lowshot"], train_per_class=30)
    with pytest.raises(DataError, match=r"class 'class-0' of voc2007 has \d+ .* needs \d+"):
        next(rule.splits(voc_table(make_table)))


def test_ignored_rows_are_negatives_only_where_the_papers_flaw_is_asked_for(make_table):
    table = voc_table(make_table)
    (correct,) = PROTOCOLS["voc2007"]["fair-svm"].splits(table)
    (flawed,) = PROTOCOLS["voc2007"]["fair-svm-goyal"].splits(table)
    assert correct.labels is None
    ignored = table.labels[flawed.train] == 0
    assert (flawed.labels[ignored] == -1).all()
    np.testing.assert_array_equal(flawed.labels[~ignored], table.labels[flawed.train][~ignored])
    for one, other in zip(correct.inner, flawed.inner, strict=True):
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("kind", "options"),
    [("holdout", {"share": 0.0}), ("holdout", {"share": 1.0}), ("kfold", {"folds": 1})],
)
def test_choices_of_c_that_make_no_sense_are_refused(kind, options):
    with pytest.raises(ConfigError, match=r"share|folds"):
        Selection(kind, **options)


def rare_sides(labels, rows):
    """Which classes have their rarer sign among some rows, where they have it at all."""
    positive, negative = (labels == 1), (labels == -1)
    rare = np.where(positive.sum(0) <= negative.sum(0), positive, negative)
    return rare[rows].any(0) | ~rare.any(0), rare.sum(0)


@given(
    n_rows=st.integers(6, 60),
    n_classes=st.integers(1, 6),
    share=st.floats(0.02, 0.98),
    seed=st.integers(0, 10_000),
)
def test_choosing_c_leaves_every_label_something_to_train_on(n_rows, n_classes, share, seed):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((n_rows, n_classes)) < share, 1, -1).astype(np.int8)
    labels[rng.random(labels.shape) < 0.1] = 0
    rows = rng.permutation(n_rows)
    for pair in (*hold_out(Strata([rows], labels), 0.2), *folds(Strata([rows], labels), 3)):
        fit, held_out = pair
        np.testing.assert_array_equal(np.sort(np.concatenate(pair)), np.arange(n_rows))
        assert rare_sides(labels, fit)[0].all()
    held_out = [pair[1] for pair in folds(Strata([rows], labels), 3)]
    assert len(np.unique(np.concatenate(held_out))) == sum(map(len, held_out))


def test_labels_of_few_rows_are_on_both_sides():
    """Eight labels of two to five rows among 200, and one of a single row, which trains."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = np.full((200, 9), -1, np.int8)
        for number, count in enumerate((2, 2, 3, 3, 4, 4, 5, 5, 1)):
            labels[rng.choice(200, count, replace=False), number] = 1
        rows = rng.permutation(200)
        ((fit, held_out),) = hold_out(Strata([rows], labels), 0.2)
        assert 36 <= len(held_out) <= 44
        assert rare_sides(labels, fit)[0].all()
        assert rare_sides(labels, held_out)[0].tolist() == [True] * 8 + [False]
        for number in (2, 3, 4, 5, 6, 7):
            with_it = [
                (labels[held, number] == 1).any() for _, held in folds(Strata([rows], labels), 3)
            ]
            assert sum(with_it) >= 2  # three rows may each bear another rare label


def test_labels_have_their_share_of_each_fold():
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((600, 5)) < [0.02, 0.1, 0.3, 0.5, 0.9], 1, -1).astype(np.int8)
    for _, held_out in folds(Strata([rng.permutation(600)], labels), 3):
        assert 190 <= len(held_out) <= 210
        wanted = (labels == 1).sum(0) / 3
        np.testing.assert_allclose((labels[held_out] == 1).sum(0), wanted, atol=4)


def test_neighbouring_seeds_share_no_low_shot_draw(make_table):
    rule = replace(PROTOCOLS["voc2007"]["fair-lowshot"], train_per_class=3)
    table = voc_table(make_table)
    found = [tuple(s.train) for seed in (0, 1) for s in replace(rule, seed=seed).splits(table)]
    assert len(set(found)) == 10


@pytest.mark.parametrize("rule", [HOLDOUT, KFOLD], ids=lambda p: p.draw)
def test_several_labels_have_their_share_of_every_test_side(make_table, rule):
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((300, 4)) < [0.02, 0.1, 0.3, 0.6], 1, -1).astype(np.int8)
    share = 0.25 if rule.draw == "kfold" else 0.2
    for split in rule.splits(make_table(labels=labels)):
        check_is_split(split, np.arange(300))
        wanted = share * (labels == 1).sum(0)
        np.testing.assert_allclose((labels[split.test] == 1).sum(0), wanted, atol=3)
        assert rare_sides(labels, split.train)[0].all()
