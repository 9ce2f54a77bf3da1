"""No split, and no choice of C, has a group on both sides."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decaf.errors import ConfigError, DataError
from decaf.protocols import PublishedProtocol, Selection, require_shots, training_rows
from decaf.protocols.draw import folds, hold_out, strata
from decaf.types import ImageDataset

FIFTH, THREE = Selection("holdout", share=0.2), Selection("kfold", folds=3)
HOLDOUT = PublishedProtocol("p", "holdout", 2, "top1", FIFTH)
KFOLD = PublishedProtocol("p", "kfold", 3, "top1", THREE)
SHOTS = PublishedProtocol("p", "shots", 2, "top1", FIFTH, train_per_class=2)
OFFICIAL = PublishedProtocol("p", "official", 1, "top1", FIFTH)


def grouped(labels, groups, **fields):
    n_classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    names = tuple(map(str, range(len(labels))))
    of = tuple(f"place-{group}" for group in groups)
    return ImageDataset(
        "own", Path(), names, labels, names[:n_classes], np.arange(len(labels)), groups=of, **fields
    )


def check_groups(table, split):
    """Groups are on one side; every class or label that is there at all trains."""
    groups = np.array(table.groups)
    for one, other in ((split.train, split.test), *split.inner):
        assert len(one)
        assert len(other)
        assert not set(groups[one]) & set(groups[other])
        if table.labels.ndim == 1:
            assert set(table.labels[other]) <= set(table.labels[one])
        else:
            seen = table.labels[np.concatenate([one, other])] == 1
            rare = seen.sum(0) * 2 <= len(seen)
            assert (table.labels[one] == 1).any(0)[rare & seen.any(0)].all()
    assert not np.intersect1d(split.train, split.test).size


@st.composite
def tables(draw):
    """Groups of mixed classes and of any size; each class has images of three groups and more."""
    n_classes, n_groups = draw(st.integers(2, 5)), draw(st.integers(4, 15))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    sizes = rng.integers(1, 8, n_groups)
    groups = np.repeat(np.arange(n_groups), sizes)
    labels = rng.integers(0, n_classes, len(groups))
    for number in range(n_classes):
        more = rng.choice(n_groups, 3, replace=False)
        groups, labels = np.append(groups, more), np.append(labels, [number] * 3)
    order = rng.permutation(len(groups))
    return grouped(labels[order], groups[order])


@settings(deadline=None, max_examples=60)
@given(table=tables(), seed=st.integers(0, 99), selection=st.sampled_from([FIFTH, THREE]))
def test_no_group_is_on_both_sides(table, seed, selection):
    for rule in (HOLDOUT, KFOLD):
        splits = list(replace(rule, seed=seed, selection=selection).splits(table))
        for split in splits:
            check_groups(table, split)
        assert len(splits[0].train) + len(splits[0].test) == len(table.labels)
    tested = np.concatenate([split.test for split in splits])
    assert len(np.unique(tested)) == len(tested)


@settings(deadline=None, max_examples=60)
@given(table=tables(), seed=st.integers(0, 99), shots=st.integers(1, 4))
def test_shots_of_groups_leave_every_class_something_to_test(table, seed, shots):
    rule = replace(SHOTS, seed=seed, train_per_class=shots, selection=THREE)
    try:
        splits = list(rule.splits(table))
    except DataError as error:
        assert "beside a group to test" in str(error)  # noqa: PT017 - either may be
        return
    for split in splits:
        check_groups(table, split)
        assert set(np.bincount(table.labels[split.train])) == {shots}
        assert set(table.labels[split.test]) == set(table.labels)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 999), n_groups=st.integers(4, 12), n_rows=st.integers(12, 60))
def test_groups_of_several_labels_are_on_one_side(seed, n_groups, n_rows):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random((n_rows, 3)) < [0.1, 0.3, 0.5], 1, -1).astype(np.int8)
    table = grouped(
        labels, np.append(np.arange(n_groups), rng.integers(n_groups, size=n_rows))[:n_rows]
    )
    for rule in (HOLDOUT, KFOLD):
        try:
            for split in replace(rule, seed=seed).splits(table):
                check_groups(table, split)
        except DataError as error:
            assert "nothing to test" in str(error)  # noqa: PT017 - a label of its own in each group


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.lists(st.integers(1, 20), min_size=2, max_size=12), min_size=2, max_size=4),
    share=st.sampled_from([0.1, 0.2, 0.5]),
    seed=st.integers(0, 99),
)
def test_of_groups_of_one_class_each_shares_are_met_to_one_group(sizes, share, seed):
    labels = np.repeat(np.arange(len(sizes)), [sum(one) for one in sizes])
    flat = [size for one in sizes for size in one]
    table = grouped(labels, np.repeat(np.arange(len(flat)), flat))
    (split,) = replace(HOLDOUT, test_share=share, n_splits=1, seed=seed).splits(table)
    for number, one in enumerate(sizes):
        tested = (labels[split.test] == number).sum()
        assert 0 < tested < sum(one)
        assert abs(tested - max(share * sum(one), 1)) < max(one)


def test_groups_of_one_image_are_stratified_as_images_are():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    for split in HOLDOUT.splits(grouped(labels, range(100))):
        assert np.bincount(labels[split.test]).tolist() == [10, 6, 4]
    for split in replace(KFOLD, n_splits=5).splits(grouped(labels, range(100))):
        assert np.bincount(labels[split.test]).tolist() == [10, 6, 4]


def test_splits_depend_on_seed_and_number_alone():
    labels = np.repeat([0, 1], 30)
    table = grouped(labels, np.arange(60) // 4)
    found = [
        tuple(split.test)
        for seed in range(3)
        for rule in (HOLDOUT, SHOTS)
        for split in replace(rule, seed=seed).splits(table)
    ]
    assert len(set(found)) == 12
    again = [tuple(split.test) for split in replace(SHOTS, seed=2).splits(table)]
    assert again == found[-2:]


def test_fewer_shots_of_groups_are_part_of_more():
    table = grouped(np.repeat([0, 1], 40), np.arange(80) // 5)
    for few, many in zip(
        SHOTS.splits(table), replace(SHOTS, train_per_class=9).splits(table), strict=True
    ):
        assert set(few.train) < set(many.train)


def test_what_cannot_be_drawn_is_refused_with_the_largest_number():
    labels = np.repeat([0, 1], [12, 6])
    table = grouped(labels, np.append(np.arange(12), [20, 20, 20, 20, 21, 21]))
    with pytest.raises(ConfigError, match=r"leaves 4 of class '1' of own to train; ask for 4 or"):
        require_shots(replace(SHOTS, train_per_class=5), table)
    require_shots(replace(SHOTS, train_per_class=4), table)
    with pytest.raises(DataError, match=r"needs 5 usable images, beside a group to test, a class"):
        next(replace(SHOTS, train_per_class=5).splits(table))
    with pytest.raises(
        DataError, match=r"3 folds needs 3 usable groups .*'1' of own has 2 \(1 of 2"
    ):
        next(KFOLD.splits(table))
    alone = grouped(labels, np.append(np.arange(12), [20] * 6))
    with pytest.raises(DataError, match=r"needs 2 usable groups of images a class; class '1'"):
        next(HOLDOUT.splits(alone))


def test_a_given_split_that_breaks_groups_is_refused_with_counts():
    sides = np.array([[1, 1, 3, 1, 2, 3]], np.int8).T
    table = grouped(np.array([0, 1, 0, 1, 0, 1]), [7, 7, 7, 8, 9, 8], official=sides)
    counts = r"2 of 3 groups on both of its sides: place-7 \(2 and 1 images\), place-8 \(1 and 1"
    with pytest.raises(DataError, match=f"official split 1 of own has {counts}"):
        next(OFFICIAL.splits(table))
    with pytest.raises(DataError, match=f"the official split of own has {counts}"):
        training_rows(table, np.ones(6, bool))
    within = grouped(np.array([0, 1, 0, 1, 0, 1]), [7, 7, 5, 8, 8, 5], official=sides)
    next(OFFICIAL.splits(within))
    with pytest.raises(DataError, match=r"official validation side of own has 1 of 2 .*place-8"):
        next(replace(OFFICIAL, selection=Selection("official")).splits(within))


def test_a_model_to_keep_validates_on_other_groups():
    table = grouped(np.arange(60) % 3, np.arange(60) // 6)
    drawn = strata(table, np.arange(60), np.random.default_rng(0))
    groups = np.array(table.groups)
    pairs = (*hold_out(drawn, 0.2), *folds(drawn, 5))
    assert len(pairs) == 6
    for fit, held_out in pairs:
        assert not set(groups[fit]) & set(groups[held_out])
        assert len(held_out) == 12


def test_shots_leave_a_group_to_test_in_whatever_order_groups_are_drawn():
    table = grouped(np.repeat([0, 1], 6), np.repeat([0, 1, 2, 3], [5, 1, 1, 5]))
    for split in replace(SHOTS, train_per_class=4, n_splits=12).splits(table):
        assert split.test.tolist() == [5, 6]
