"""Who trains and who tests where there are two domains."""

import numpy as np
import pytest
from flat import make

from decaf.errors import ConfigError, DataError
from decaf.protocols import domain_rules, get_protocol
from decaf.records import Overrides
from decaf.types import ImageDataset


def table(make_table, n=12, *, paired: bool = False, **fields) -> ImageDataset:
    """Three classes in the domains a and b; where paired, image i of both is of one group."""
    labels = np.tile(np.repeat(np.arange(3), n), 2)
    domains = ("a",) * 3 * n + ("b",) * 3 * n
    groups = tuple(str(i % (3 * n)) for i in range(6 * n)) if paired else None
    return make_table(labels=labels, domains=domains, groups=groups, **fields)


def rules(images, name="office-sampled", domains="a:b", **given):
    overrides = make(Overrides, given)
    return domain_rules(get_protocol(name, images, overrides), images, overrides, domains)


@pytest.mark.parametrize("paired", [False, True])
def test_source_and_few_target_rows_train_and_all_ways_test_the_same_rows(make_table, paired):
    images = table(make_table, paired=paired)
    of = np.array(images.domains)
    source, target, both = rules(images)
    tests = set()
    for s, t, st in zip(*(one.splits(images) for one in (source, target, both)), strict=True):
        for split in (s, t, st):
            np.testing.assert_array_equal(split.test, s.test)
            assert set(of[split.test]) == {"b"}
            inner = [rows for fold in split.inner for rows in fold]
            assert inner
            assert set(np.concatenate(inner)) == set(split.train)
        assert set(of[s.train]) == {"a"}
        assert set(of[t.train]) == {"b"}
        np.testing.assert_array_equal(np.bincount(images.labels[t.train]), [3, 3, 3])
        np.testing.assert_array_equal(st.train, np.union1d(s.train, t.train))
        if paired:
            assert not {images.groups[i] for i in st.train} & {images.groups[i] for i in st.test}
            assert len(s.test) == 18  # half of the groups
        else:
            np.testing.assert_array_equal(np.bincount(images.labels[s.train]), [8, 8, 8])
            assert len(s.test) == 36 - 9
        tests.add(tuple(s.test))
    assert len(tests) == 5


def test_the_full_rule_trains_on_all_and_tests_all(make_table):
    images = table(make_table)
    (rule,) = rules(images, "office-full")
    (split,) = rule.splits(images)
    assert split.train.tolist() == list(range(36))
    assert split.test.tolist() == list(range(36, 72))
    with pytest.raises(ConfigError, match="all splits are the same"):
        rules(images, "office-full", splits=5)
    assert len(rules(table(make_table, paired=True), "office-full", splits=5)) == 1


def test_each_adaptation_is_made_where_it_makes_sense(make_table, capsys):
    images = table(make_table)
    found = [(r.train_on, r.adapt) for r in rules(images, adapt="none,coral,sa,daume")]
    assert found == [
        *(("S", "none"), ("S", "coral"), ("S", "sa"), ("T", "none")),
        *(("ST", "none"), ("ST", "coral"), ("ST", "sa"), ("ST", "daume")),
    ]
    assert not capsys.readouterr().err
    rules(images, adapt="none,coral", train_on="S,T")
    assert "coral makes no sense of what trains on T alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"adapt": "daume", "train_on": "S"}, "asked to adapt by daume, which trains on ST"),
        ({"adapt": "magic"}, "unknown adapt 'magic'"),
        ({"train_on": "TS"}, "unknown train_on 'TS'"),
        ({"domains": "a:c"}, "asked for the domains 'a:c' of own, found a, b"),
        ({"domains": "a"}, "asked for the domains 'a'"),
        ({"domains": "a:a"}, "asked for the domains 'a:a'"),
        ({"domains": None}, "found the domains a, b in own; give SOURCE:TARGET"),
        ({"name": "office-full", "train_on": "ST"}, "unknown train_on 'ST'"),
        ({"name": "holdout"}, "protocol holdout does not use domains, found 'a:b'"),
        ({"name": "holdout", "domains": None, "adapt": "sa"}, "does not use adapt"),
    ],
)
def test_what_makes_no_sense_is_refused(make_table, given, message):
    with pytest.raises(ConfigError, match=message):
        rules(table(make_table), **given)


def test_classes_that_a_domain_lacks_are_named(make_table):
    images = table(make_table, n=3)
    with pytest.raises(DataError, match=r"needs 3 labelled images of b, and one to test, a class"):
        list(rules(images)[0].splits(images))
    labels = np.array([0, 0, 1, 1, *[0] * 5, *[1] * 5, *[2] * 5])
    lacking = make_table(labels=labels, domains=("a",) * 4 + ("b",) * 15)
    with pytest.raises(DataError, match=r"to train in a, of a class; class 'class-2'"):
        list(rules(lacking)[0].splits(lacking))
