"""Names: a sequence like any other, in less memory."""

import pickle

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


def test_takes_the_bytes_of_the_longest():
    names = Names([f"class/{number:07d}.jpg" for number in range(100_000)])
    assert names.encoded.nbytes == 100_000 * len("class/0000000.jpg")


def test_says_what_it_holds():
    assert repr(Names(SOME)) == "Names(5 names, the first 'a/1.jpg')"
    assert repr(Names(())) == "Names(0 names)"


def test_refuses_what_is_not_utf8():
    with pytest.raises(UnicodeEncodeError):
        Names(["a\udcff.jpg"])
