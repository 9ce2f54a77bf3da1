"""Names: a sequence like any other, in less memory."""

import pickle
import tracemalloc

import numpy as np
import pytest

from decaf.names import Names

SOME = ("a/1.jpg", "", "b/ü.jpg", "a/1.jpg", "日本.png")


def test_is_a_sequence_of_its_names():
    names = Names(SOME)
    assert len(names) == 5
    assert tuple(names) == SOME
    assert [names[place] for place in range(-5, 5)] == [SOME[place] for place in range(-5, 5)]
    assert names[np.int64(2)] == "b/ü.jpg"
    assert names[1:4] == SOME[1:4]
    assert "日本.png" in names
    assert "日本" not in names
    assert names.index("b/ü.jpg") == 2
    with pytest.raises(IndexError):
        names[5]


@pytest.mark.parametrize("other", [SOME, list(SOME), Names(SOME), Names(Names(SOME))])
def test_equals_the_same_names(other):
    assert Names(SOME) == other
    assert other == Names(SOME)


@pytest.mark.parametrize("other", [(), SOME[:4], (*SOME[:4], "日本.pn"), Names(SOME[::-1]), 5])
def test_differs_from_others(other):
    assert Names(SOME) != other
    assert other != Names(SOME)


def test_taking_narrows():
    taken = Names(SOME).take(np.array([3, 1]))
    assert taken == ("a/1.jpg", "")
    assert taken.encoded.dtype == Names(SOME[:1]).encoded.dtype
    assert Names(SOME).take(np.array([], int)) == ()


def test_joins_parts_of_other_widths():
    assert Names.joined([Names(SOME[:2]), Names(()), Names(SOME[2:])]) == SOME
    assert Names.joined([]) == ()


def test_travels_to_other_processes():
    assert pickle.loads(pickle.dumps(Names(SOME))) == SOME


def test_takes_the_bytes_of_its_names_and_eight_for_each():
    names = Names([f"class/{number:07d}.jpg" for number in range(100_000)])
    assert len(pickle.dumps(names)) < 100_000 * (len("class/0000000.jpg") + 8) + 1000


def test_one_long_name_costs_no_more_than_its_bytes():
    many = [f"class/{number}.jpg" for number in range(30_000)]
    tracemalloc.start()
    names = Names([*many, "x" * 100_000])
    taken = Names.joined([names.take(np.arange(1, 30_001)), names])
    order, starts = taken.order(), taken.starts()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    assert taken[30_000] == many[0]
    assert taken[29_999] == "x" * 100_000
    np.testing.assert_array_equal(starts, np.arange(60_002))
    assert [taken[place] for place in order[:3]] == ["class/0.jpg", "class/1.jpg", "class/1.jpg"]
    assert order[1] < order[2]


def test_many_names_take_little_memory():
    tracemalloc.start()
    names = Names([f"{number:019d}" for number in range(50_000)])
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    names = Names.joined([names, names])
    names = names.take(np.arange(len(names)))
    names.order(), names.starts()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(names) == 100_000
    assert peak - before < 15e6  # a tuple's strings take 7e6, and each thing here is made anew


def test_runs_of_equal_names():
    assert Names(["b", "b", "a", "c", "c", "b"]).starts().tolist() == [0, 2, 3, 5, 6]
    assert Names(["b", "b", "a", "c" * 99]).starts().tolist() == [0, 2, 3, 4]
    assert Names(["é", "z", "a", "z"]).order().tolist() == [2, 1, 3, 0]


def test_says_what_it_holds():
    assert repr(Names(SOME)) == "Names(5 names, the first 'a/1.jpg')"
    assert repr(Names(())) == "Names(0 names)"


def test_refuses_what_is_not_utf8():
    with pytest.raises(UnicodeEncodeError):
        Names(["a\udcff.jpg"])
