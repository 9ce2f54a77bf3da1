"""Rows on disk: computed once, whatever happens in between."""

from pathlib import Path

import numpy as np
import pytest

from decaf.errors import DataError
from decaf.finetuning.kept import Kept

ROWS = np.array([1, 4])


def test_places_are_missing_until_they_are_written(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "new" / "x.frozen", 6, 2)
    assert kept.missing(ROWS, 2, (3,), np.float32) == [(1, 0), (1, 1), (4, 0), (4, 1)]
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    kept.put([(1, 1), (4, 0)], values)
    assert kept.missing(ROWS, 2, (3,), np.float32) == [(1, 0), (4, 1)]
    assert kept.missing(ROWS, 1, (3,), np.float32) == [(1, 0)]
    np.testing.assert_array_equal(kept.take(np.array([4, 1]), np.array([0, 1])), values[::-1])


def test_what_is_written_outlives_the_object(tmp_path: Path) -> None:
    path = tmp_path / "x.frozen"
    first = Kept(path, 6, 1)
    first.missing(ROWS, 1, (3,), np.uint8)
    first.put([(4, 0)], np.full((1, 3), 7, np.uint8))
    again = Kept(path, 6, 1)
    assert again.missing(ROWS, 1, (3,), np.uint8) == [(1, 0)]
    np.testing.assert_array_equal(again.take(np.array([4]), np.array([0])), [[7, 7, 7]])
    other = Kept(path, 6, 1)  # of another size: made anew
    assert other.missing(ROWS, 1, (4,), np.uint8) == [(1, 0), (4, 0)]
    np.testing.assert_array_equal(again.take(np.array([4]), np.array([0])), [[7, 7, 7]])


def test_a_disk_that_is_too_small_is_said(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "x.frozen", 2**20, 2**10)
    with pytest.raises(DataError, match=r"it may take .* GiB of .* free; free space there"):
        kept.missing(ROWS, 1, (2**20,), np.float32)
