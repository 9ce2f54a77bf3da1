from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from proper_splits import check_is_split

from decaf.errors import ConfigError, DataError
from decaf.protocols import PROTOCOLS, PublishedProtocol, Selection, training_rows
from decaf.results.identity import digest_of, split_digest
from decaf.types import ImageDataset

SIXTH = Selection("holdout", share=1 / 6)
SHOTS = PublishedProtocol("p", "shots", 3, "top1", SIXTH, train_per_class=6)
HOLDOUT = PublishedProtocol("p", "holdout", 3, "top1", SIXTH)
KFOLD = PublishedProtocol("p", "kfold", 4, "top1", SIXTH)
OFFICIAL = PublishedProtocol("p", "official", 1, "top1", SIXTH)


@pytest.mark.parametrize("protocol", [SHOTS, HOLDOUT, KFOLD], ids=lambda p: p.draw)
def test_every_way_of_drawing_gives_proper_splits(make_table, protocol):
    table = make_table([9, 20, 7])
    usable = np.ones(36, bool)
    usable[[0, 17]] = False
    splits = list(protocol.splits(table, usable))
    assert len(splits) == protocol.n_splits
    for split in splits:
        check_is_split(split, np.flatnonzero(usable))


def test_shots_train_a_number_and_test_the_rest(make_table):
    table = make_table([9, 20, 7])
    for split in SHOTS.splits(table):
        assert np.bincount(table.labels[split.train]).tolist() == [6, 6, 6]
        assert np.bincount(table.labels[split.test]).tolist() == [3, 14, 1]
        assert split.shots == 6


def test_test_rows_a_class_are_capped(make_table):
    table = make_table([9, 20, 7])
    for split in replace(SHOTS, test_per_class=2).splits(table):
        assert np.bincount(table.labels[split.test]).tolist() == [2, 2, 1]


def test_decafs_choice_of_c_holds_out_5_of_30(make_table):
    table = make_table([40, 35])
    (split,) = replace(SHOTS, train_per_class=30, n_splits=1).splits(table)
    ((fit, validation),) = split.inner
    assert np.bincount(table.labels[fit]).tolist() == [25, 25]
    assert np.bincount(table.labels[validation]).tolist() == [5, 5]


def test_one_shot_leaves_nothing_to_hold_out(make_table):
    for split in replace(SHOTS, train_per_class=1).splits(make_table([3, 3])):
        assert split.inner == ()


def test_fewer_shots_train_on_some_of_the_same_rows(make_table):
    table = make_table([12, 12])
    for few, many in zip(
        replace(SHOTS, train_per_class=2).splits(table), SHOTS.splits(table), strict=True
    ):
        assert np.all(np.isin(few.train, many.train))


@pytest.mark.parametrize("rule", [SHOTS, HOLDOUT], ids=lambda p: p.draw)
def test_neighbouring_seeds_share_no_split(make_table, rule):
    table = make_table([12, 12])
    rule = replace(rule, n_splits=5)
    found = [
        tuple(split.train) for seed in range(4) for split in replace(rule, seed=seed).splits(table)
    ]
    assert len(set(found)) == 20
    assert [split.seed for split in replace(rule, seed=3).splits(table)] == [3] * 5
    (first, *_), (alone,) = rule.splits(table), replace(rule, n_splits=1).splits(table)
    np.testing.assert_array_equal(first.train, alone.train)


def test_neighbouring_seeds_validate_other_rows_of_official_splits(make_table):
    sides = official([1] * 15 + [3] * 5, [1] * 15 + [3] * 5)
    table = make_table([10, 10], official=np.roll(sides, 3, axis=0))
    rule = replace(OFFICIAL, n_splits=2)
    found = [
        tuple(split.inner[0][1])
        for seed in (0, 1)
        for split in replace(rule, seed=seed).splits(table)
    ]
    assert len(set(found)) == 4


def test_each_seed_and_split_has_a_seed_for_training():
    found = [replace(SHOTS, seed=seed).training_seed(i) for seed in range(9) for i in range(9)]
    assert len(set(found)) == 81
    assert all(0 <= seed < 2**32 for seed in found)


def test_a_split_is_what_the_docstring_says(make_table):
    table = make_table([9, 8])
    (split,) = replace(SHOTS, seed=5, n_splits=1).splits(table)
    rng = np.random.default_rng(np.random.SeedSequence([5, 0]))
    orders = [rng.permutation(np.arange(9)), rng.permutation(np.arange(9, 17))]
    np.testing.assert_array_equal(split.train, np.sort(np.concatenate([o[:6] for o in orders])))


def test_unusable_rows_do_not_shift_the_draw_of_other_classes_counts(make_table):
    table = make_table([9, 9])
    usable = np.arange(18) != 4
    for split in SHOTS.splits(table, usable):
        assert np.bincount(table.labels[split.train]).tolist() == [6, 6]
        assert 4 not in np.concatenate([split.train, split.test])


def test_a_class_with_too_few_images_is_named(make_table):
    with pytest.raises(
        DataError, match=r"needs 6 usable images, beside one to.*'class-1' of own has 5 \(1 of 3"
    ):
        list(SHOTS.splits(make_table([9, 6, 8])))


def test_a_dropped_class_neither_trains_nor_tests(make_table):
    table = make_table([9, 2, 9])
    for split in replace(SHOTS, drop_classes=("class-1",)).splits(table):
        assert 1 not in table.labels[np.concatenate([split.train, split.test])]


def test_dropping_an_unknown_class_is_refused(make_table):
    with pytest.raises(ConfigError, match="'clutter', which own does not have"):
        list(replace(SHOTS, drop_classes=("clutter",)).splits(make_table([9])))


def test_folds_test_every_row_once(make_table):
    table = make_table([10, 7, 5])
    tested = np.concatenate([split.test for split in KFOLD.splits(table)])
    np.testing.assert_array_equal(np.sort(tested), np.arange(22))


def test_folds_are_of_even_size(make_table):
    sizes = [len(split.test) for split in KFOLD.splits(make_table([5, 5, 5, 5]))]
    assert max(sizes) - min(sizes) <= 1


def test_folds_need_a_row_each(make_table):
    with pytest.raises(DataError, match="4 folds needs 4 usable"):
        list(KFOLD.splits(make_table([3, 9])))


def test_holdout_tests_a_share_of_each_class(make_table):
    table = make_table([10, 2])
    for split in HOLDOUT.splits(table):
        assert np.bincount(table.labels[split.test]).tolist() == [2, 1]


def test_several_labels_cannot_be_drawn_by_class(make_table):
    with pytest.raises(ConfigError, match="several labels an image"):
        list(SHOTS.splits(make_table(labels=np.ones((9, 2), np.int8))))


def official(*columns):
    return np.array(columns, np.int8).T


def test_official_split_trains_on_train_and_validation_side(make_table):
    table = make_table([3, 3], official=official([1, 2, 3, 1, 3, 0]))
    (split,) = OFFICIAL.splits(table)
    assert split.train.tolist() == [0, 1, 3]
    assert split.test.tolist() == [2, 4]
    assert split.seed == 1


def test_official_validation_side_chooses_c(make_table):
    table = make_table([3, 3], official=official([1, 2, 3, 1, 3, 2]))
    (split,) = replace(OFFICIAL, selection=Selection("official")).splits(table)
    ((fit, validation),) = split.inner
    assert (fit.tolist(), validation.tolist()) == ([0, 3], [1, 5])


def test_without_a_validation_side_it_cannot_choose_c(make_table):
    table = make_table([2, 2], official=official([1, 3, 1, 3]))
    with pytest.raises(DataError, match="official validation side"):
        list(replace(OFFICIAL, selection=Selection("official")).splits(table))


def test_validation_side_tests_where_there_is_no_test_side(make_table):
    table = make_table([2, 2], official=official([1, 2, 1, 2]))
    (split,) = OFFICIAL.splits(table)
    assert (split.train.tolist(), split.test.tolist()) == ([0, 2], [1, 3])


def test_a_test_side_that_cannot_be_used_is_not_replaced(make_table):
    """Where no test row has features, the validation side does not become the test."""
    table = make_table([2, 2], official=official([1, 2, 1, 3]))
    with pytest.raises(DataError, match="0 to test"):
        list(OFFICIAL.splits(table, np.arange(4) < 3))


@pytest.mark.parametrize(
    ("sides", "rows"),
    [([1, 2, 3, 1, 2, 3], [0, 1, 3, 4]), ([1, 2, 0, 1, 2, 0], [0, 3]), (None, range(6))],
)
def test_a_model_to_keep_trains_on_what_the_protocol_trains_on(make_table, sides, rows):
    table = make_table([3, 3], official=None if sides is None else official(sides))
    assert training_rows(table, np.ones(6, bool)).tolist() == list(rows)
    if sides is not None:
        (split,) = OFFICIAL.splits(table)
        assert split.train.tolist() == list(rows)


def test_each_official_split_is_one_split(make_table):
    table = make_table([2, 2], official=official([1, 3, 1, 3], [3, 1, 3, 1]))
    first, second = replace(OFFICIAL, n_splits=2).splits(table)
    np.testing.assert_array_equal(first.train, second.test)
    with pytest.raises(ConfigError, match="official split 3 of own, which has 2"):
        list(replace(OFFICIAL, n_splits=3).splits(table))


def test_official_class_without_training_images_is_named(make_table):
    table = make_table([2, 2], official=official([1, 3, 3, 3]))
    with pytest.raises(DataError, match="'class-1' of own has images to test but none to train"):
        list(OFFICIAL.splits(table))


def test_training_images_of_any_split_can_be_fewer(make_table):
    table = make_table([6, 6], official=official([1] * 5 + [3] + [1] * 5 + [3]))
    (split,) = replace(OFFICIAL, train_per_class=2).splits(table)
    assert np.bincount(table.labels[split.train]).tolist() == [2, 2]


def test_cross_validated_c_uses_each_training_row_once(make_table):
    (split, *_) = replace(SHOTS, selection=Selection("kfold", folds=3)).splits(make_table([9, 9]))
    validated = np.concatenate([validation for _, validation in split.inner])
    np.testing.assert_array_equal(np.sort(validated), split.train)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 1630.0])
def test_decades_of_c_follow_the_scale_of_features(scale):
    X = np.random.default_rng(0).normal(size=(50, 100)) * scale / 10  # rows of norm `scale`
    grid, fixed = SHOTS.c_values(X, np.arange(50))
    assert len(grid) == 8
    np.testing.assert_allclose(np.diff(np.log10(grid)), 1)
    assert 10**-0.6 < fixed * scale**2 < 10**0.6
    assert grid[3] == fixed


def test_standardised_features_have_the_norm_of_their_number():
    grid, fixed = replace(SHOTS, normalize="standard").c_values(np.zeros((9, 1000)), np.arange(9))
    assert fixed == 1e-3
    assert grid[3] == fixed


def test_features_of_zero_have_a_grid():
    assert SHOTS.c_values(np.zeros((9, 4)), np.arange(9))[1] == 1.0


def test_a_given_grid_is_kept():
    assert replace(SHOTS, c_grid=(0.1, 1.0, 5.0)).c_values(np.ones((9, 4)), np.arange(9)) == (
        (0.1, 1.0, 5.0),
        1.0,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_splits": 0}, "0 splits"),
        ({"train_per_class": 0}, "0 to train a class"),
        ({"train_per_class": None}, "draws a number of images"),
        ({"c_grid": ()}, "C grid"),
        ({"c_grid": (1.0, 0.1)}, "ascending"),
        ({"c_grid": (0.0, 1.0)}, "above 0"),
        ({"selection": Selection("fixed")}, "does not choose C"),
        ({"c_grid": (1.0, float("inf"))}, "C grid"),
        ({"c_grid": (float("nan"),)}, "C grid"),
        ({"n_splits": 2.5}, "n_splits is 1 or more, a whole number, found 2.5"),
        ({"train_per_class": 1.5}, "train_per_class is 1 or more, a whole number"),
        ({"test_per_class": 0}, "test_per_class is 1 or more"),
        ({"seed": -1}, "seed is 0 or more"),
        ({"seed": 2**32}, "seed is 0 or more"),
        ({"test_share": 1.0}, "test_share is a share from 0 to 1"),
        ({"background_share": 1.1}, "background_share is a share from 0 to 1"),
        ({"background_share": float("nan")}, "background_share is a share"),
        ({"box_scale": 0.0}, "box_scale is above 0"),
        ({"patch_power": float("inf")}, "patch_power is above 0 and finite, found inf"),
        ({"patch_power": float("nan")}, "patch_power is above 0"),
        ({"positive_weight": -1.0}, "positive_weight is above 0"),
    ],
)
def test_rules_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(SHOTS, **change)


@given(
    counts=st.lists(st.integers(5, 30), min_size=2, max_size=6),
    shots=st.integers(1, 4),
    seed=st.integers(0, 1000),
    broken=st.integers(0, 4),
)
def test_any_table_gives_proper_splits(counts, shots, seed, broken):  # no fixture with @given
    labels = np.repeat(np.arange(len(counts)), counts)
    names = tuple(map(str, range(len(labels))))
    table = ImageDataset("own", Path(), names, labels, names[: len(counts)], labels)
    usable = np.arange(len(labels)) != (broken if counts[0] > shots + 1 else -1)
    protocol = replace(SHOTS, train_per_class=shots, seed=seed, n_splits=2)
    for split in protocol.splits(table, usable):
        check_is_split(split, np.flatnonzero(usable))
        assert len(split.train) + len(split.test) == usable.sum()


RECORDED = {
    "shots holdout": "aca9c0a02f6c78d1",
    "capped holdout": "1eb81863def410e4",
    "holdout holdout": "8c6ca3d14a5a93f2",
    "kfold holdout": "b3d68f81e3f767cb",
    "official holdout": "d66dac2e05640445",
    "several labels holdout": "3159376575b71240",
    "shots kfold": "b1aa2811988fdac1",
    "capped kfold": "763cf039b8c61f37",
    "holdout kfold": "d244b41fb64cc696",
    "kfold kfold": "a6b194c941344322",
    "official kfold": "a0ac126e620e2208",
    "several labels kfold": "9b8461782485a7f8",
    "lowshot fixed": "3aa39f274d81eb5e",
    "several labels official": "63704b17f22af6d7",
}
"""Digests of the row numbers that each rule drew before tables had groups."""


@pytest.mark.parametrize("case", RECORDED)
def test_row_numbers_without_groups_are_those_recorded(make_table, case):
    rng = np.random.default_rng(0)
    single = make_table(labels=rng.permutation(np.repeat(np.arange(5), [9, 20, 13, 40, 31])))
    multi = make_table(
        labels=rng.choice(np.array([1, 0, -1], np.int8), (240, 4), p=[0.2, 0.1, 0.7]),
        official=(np.arange(240) % 3 + 1)[:, None].astype(np.int8),
    )
    columns = np.stack([np.arange(113) % 3 + 1, np.arange(1, 114) % 4], axis=1).astype(np.int8)
    kinds = {"holdout": Selection("holdout", share=0.2), "kfold": Selection("kfold", folds=3)}
    how, _, kind = case.rpartition(" ")
    rule = replace(SHOTS, selection=kinds.get(kind, Selection("official")), seed=3)
    rule, table = {
        "shots": (rule, single),
        "capped": (replace(rule, test_per_class=2), single),
        "holdout": (replace(rule, draw="holdout", train_per_class=None), single),
        "kfold": (replace(rule, draw="kfold", train_per_class=4), single),
        "official": (
            replace(rule, draw="official", n_splits=2, train_per_class=None),
            replace(single, official=columns),
        ),
        "several labels": (
            replace(rule, draw="official", n_splits=1, train_per_class=None),
            multi,
        ),
        "lowshot": (PROTOCOLS["voc2007"]["fair-lowshot"], multi),
    }[how]
    splits = rule.splits(table)
    assert digest_of(*(split_digest(split).encode() for split in splits)) == RECORDED[case]
