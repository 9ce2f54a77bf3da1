"""The natural order of paths."""

import re

from hypothesis import given
from hypothesis import strategies as st

from decaf.datasets.order import natural_sorted


def test_natural_order():
    paths = ["b/1.jpg", "a/10.jpg", "a/2.jpg", "a-b/1.jpg", "a/2b.jpg", "a/02.jpg", "10/1", "9/1"]
    assert natural_sorted(paths) == [
        "9/1", "10/1", "a/02.jpg", "a/2.jpg", "a/2b.jpg", "a/10.jpg", "a-b/1.jpg", "b/1.jpg",
    ]  # fmt: skip


@given(st.lists(st.text(alphabet="a1²٣/ ", max_size=6), unique=True))
def test_natural_order_is_total(paths):
    backwards = paths[::-1]
    assert natural_sorted(paths) == natural_sorted(backwards)


def parts_and_numbers(path):
    """The order in words: part by part, text and numbers in turn, then the path itself."""
    key = []
    for part in path.split("/"):
        pieces = re.split("([0-9]+)", part)
        pieces[1::2] = map(int, pieces[1::2])
        key.append(pieces)
    return [*key, [path]]


@given(st.lists(st.text(alphabet="a10²-~ ", max_size=7), unique=True))
def test_natural_order_is_that_of_text_and_numbers(names):
    for paths in (names, [f"{name}/{other}" for name in names for other in names[:3]]):
        assert natural_sorted(paths) == sorted(paths, key=parts_and_numbers)


def test_numbers_of_any_length_are_sorted():
    long = "9" * 1_200_000
    assert natural_sorted([long, "10", "9"]) == ["9", "10", long]
