import numpy as np
import pytest
from flat import get_protocol

from decaf.errors import DataError
from decaf.protocols import read_splits, write_splits


@pytest.fixture
def table(make_table):
    return make_table([40, 35], name="caltech101")


def test_written_splits_come_back(tmp_path, table):
    splits = tuple(get_protocol("decaf", table).splits(table))
    write_splits(tmp_path / "splits.json", table, splits)
    found = read_splits(tmp_path / "splits.json", table)
    assert [(s.seed, s.shots) for s in found] == [(s.seed, s.shots) for s in splits]
    for a, b in zip(found, splits, strict=True):
        np.testing.assert_array_equal(a.train, b.train)
        np.testing.assert_array_equal(a.test, b.test)
        np.testing.assert_array_equal(a.inner[0][1], b.inner[0][1])
        assert a.train.dtype == np.int64


def test_splits_of_other_images_are_refused(tmp_path, table, make_table):
    write_splits(tmp_path / "splits.json", table, ())
    with pytest.raises(DataError, match="made for caltech101 with other images"):
        read_splits(tmp_path / "splits.json", make_table([3, 3]))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other"}'])
def test_what_is_no_split_file_is_refused(tmp_path, table, text):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(DataError, match=r"split file .*splits\.json"):
        read_splits(tmp_path / "splits.json", table)


def test_a_missing_split_file_is_named(tmp_path, table):
    with pytest.raises(DataError, match=r"none\.json cannot be read"):
        read_splits(tmp_path / "none.json", table)
