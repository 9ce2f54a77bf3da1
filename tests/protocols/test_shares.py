"""A share of each class's training images trains; the test side stays as it is."""

from dataclasses import replace

import numpy as np
import pytest
from flat import get_protocol

from decaf.errors import ConfigError
from decaf.protocols import kept_splits, with_shots
from decaf.records import Overrides


@pytest.mark.parametrize("name", ["holdout", "kfold"])
def test_a_share_of_each_class_trains_on_the_same_test_side(make_table, name):
    table = make_table([100, 40, 6])
    whole = list(get_protocol(name, table).splits(table))
    former = whole
    for share in ("50%", "10%", "1%"):
        splits = list(get_protocol(name, table, train_per_class=share).splits(table))
        for all_of_it, larger, split in zip(whole, former, splits, strict=True):
            np.testing.assert_array_equal(split.test, all_of_it.test)
            assert set(split.train) < set(larger.train)
            full, part = (np.bincount(table.labels[s.train]) for s in (all_of_it, split))
            expected = np.maximum(np.round(float(share[:-1]) / 100 * full), 1)
            np.testing.assert_array_equal(part, expected)
            assert split.shots is None
            assert all(np.isin(rows, split.train).all() for pair in split.inner for rows in pair)
        former = splits


def test_of_shots_it_is_a_share_of_the_shots(make_table):
    table = make_table([60, 60], name="caltech101")
    rule = get_protocol("decaf", table, train_per_class="10%")
    (full, *_), (part, *_) = get_protocol("decaf", table).splits(table), rule.splits(table)
    np.testing.assert_array_equal(part.test, full.test)
    assert (len(full.train), len(part.train), part.shots) == (60, 6, None)


def test_of_several_labels_it_is_a_share_of_all(make_table):
    labels = np.where(np.random.default_rng(0).random((50, 3)) < 0.4, 1, -1).astype(np.int8)
    table = make_table(labels=labels)
    (split, *_) = get_protocol("holdout", table, train_per_class="25%").splits(table)
    assert len(split.train) == 10


def test_counts_and_shares_are_read_from_one_text():
    asked = with_shots(Overrides(train_per_class="1%,5, 2.5%"))
    assert [one.train_per_class for one in asked] == ["1%", "5", "2.5%"]
    assert [one.train_per_class for one in with_shots(Overrides(train_per_class=[3, "9%"]))] == [
        "3",
        "9%",
    ]


@pytest.mark.parametrize("share", ["0%", "101%", "x%", "-1%"])
def test_what_is_no_share_is_refused(make_table, share):
    with pytest.raises(ConfigError):
        get_protocol("holdout", make_table([9, 9]), train_per_class=share)


def test_splits_of_a_share_are_replayed_and_no_others(make_table, tmp_path):
    table = make_table([20, 20])
    rules = [get_protocol("holdout", table, train_per_class=one) for one in ("10%", "50%")]
    written = kept_splits(rules, table, file=tmp_path / "s.json")
    back = kept_splits(rules[::-1], table, file=tmp_path / "s.json")
    for one, other in zip(written, back[::-1], strict=True):
        np.testing.assert_array_equal(one[0].train, other[0].train)
    with pytest.raises(ConfigError, match=r"asked for .*25 % of each class.*found.*10 % of each"):
        kept_splits([replace(rules[0], train_share=0.25)], table, file=tmp_path / "s.json")
