"""Shards make one store without a copy, and only if they are all of one extraction."""

import csv
import time

import h5py
import numpy as np
import pytest

from decaf.errors import StoreError, StoreMismatchError
from decaf.store import FeatureStore, join, store_info, verify


@pytest.fixture
def shard(make, tmp_path):
    """Write a shard of a store of 12 rows; rows of `failed` fail."""

    def write(start, stop, failed=(), folder=tmp_path, **changes):
        return make.shard(folder, start, stop, failed, **changes)

    return write


def test_joined_shards_read_like_the_store_of_all_rows(make, shard, tmp_path):
    parts = [shard(5, 9), shard(0, 5), shard(9, 12)]
    whole = make.store(tmp_path / "whole.h5")
    out = join(parts, tmp_path / "joined.h5")
    with FeatureStore(out) as joined, FeatureStore(whole) as expected:
        assert joined.provenance == expected.provenance
        assert joined.digest == expected.digest
        for layer in expected.layers:
            np.testing.assert_array_equal(joined[layer][:], expected[layer][:])
            picked = [11, 0, 4, 5, 5]
            np.testing.assert_array_equal(joined[layer][picked], expected[layer][picked])
        assert joined.image_ids == expected.image_ids
        assert joined.class_names == expected.class_names
        assert joined.groups == expected.groups
        for name in ("labels", "official", "boxes", "done", "image_sha256", "image_sizes_px"):
            found = getattr(joined, name)
            np.testing.assert_array_equal(found, getattr(expected, name))
            assert found.dtype == getattr(expected, name).dtype
    with h5py.File(out) as joined, h5py.File(whole) as expected:
        assert dict(joined.attrs) == dict(expected.attrs)
    assert verify(out) == []
    assert store_info(out)["parts"] == [
        str(tmp_path / f"shard-{r}.h5") for r in ("0-5", "5-9", "9-12")
    ]


def test_features_are_not_copied_and_shards_may_move_along(make, shard, tmp_path):
    (tmp_path / "here" / "parts").mkdir(parents=True)
    parts = [
        shard(0, 6, folder=tmp_path / "here" / "parts"),
        shard(6, 12, folder=tmp_path / "here" / "parts"),
    ]
    out = join(parts, tmp_path / "here" / "joined.h5")
    with h5py.File(out) as file:
        assert all(file[f"features/{layer}"].is_virtual for layer in make.n_features)
    (tmp_path / "here").rename(tmp_path / "there")
    with FeatureStore(tmp_path / "there" / "joined.h5") as joined:
        np.testing.assert_array_equal(joined["fc6"][:], make.features(range(12))["fc6"])


def test_failures_of_all_shards_are_listed_with_their_rows(make, shard, tmp_path):
    out = join([shard(6, 12, failed=[7, 11]), shard(0, 6, failed=[2])], tmp_path / "joined.h5")
    with (tmp_path / "joined.failures.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [(line["row"], line["image_id"], line["reason"]) for line in lines] == [
        (str(row), f"tööl/{row}.jpg", f"broken, at {row}") for row in (2, 7, 11)
    ]
    with FeatureStore(out) as joined:
        assert np.flatnonzero(~joined.done).tolist() == [2, 7, 11]
    assert verify(out) == []


def test_gaps_and_overlaps_are_named(shard, tmp_path):
    first, middle, last = shard(0, 5), shard(5, 9), shard(9, 12)
    out = tmp_path / "joined.h5"
    for parts, message in (
        ([first, last], "rows from 5 to 9"),
        ([middle, last], "rows from 0 to 5"),
        ([first, middle], "rows from 9 to 12"),
        ([first, middle, last, middle], "rows from 5 to 9 in another part"),
        ([first, shard(4, 9), last], "rows from 4 to 5 in another part"),
        ([], "found none"),
    ):
        with pytest.raises(StoreError, match=message):
            join(parts, out)
        assert not out.exists()


def test_parts_of_other_settings_whole_stores_and_unfinished_ones_are_refused(
    make, shard, tmp_path
):
    first, out = shard(0, 5), tmp_path / "joined.h5"
    with pytest.raises(StoreMismatchError, match="pooling: asked none, found max"):
        join([first, shard(5, 12, pooling="max")], out)
    with pytest.raises(StoreError, match="found a whole store"):
        join([make.store(tmp_path / "whole.h5")], out)
    make.writer(tmp_path / "begun.h5").close()
    with pytest.raises(StoreError, match="not complete"):
        join([tmp_path / "begun.h5.part"], out)
    with pytest.raises(StoreError, match="no such file"):
        join([tmp_path / "none.h5"], out)
    with pytest.raises(StoreError, match="found it there"):
        join([first], first)
    with pytest.raises(StoreError, match=r"no suffix \.h5"):
        join([first], tmp_path / "joined")


def test_a_shard_that_is_gone_or_another_is_no_silent_zero(shard, tmp_path):
    first, last = shard(0, 6), shard(6, 12)
    out = join([first, last], tmp_path / "joined.h5")
    last.rename(tmp_path / "away.h5")
    with pytest.raises(StoreError, match=r"shard .*shard-6-12\.h5 is gone"):
        FeatureStore(out)
    assert any("is gone" in problem for problem in verify(out))
    shard(6, 12, pooling="max")
    with pytest.raises(StoreError, match="another shard"):
        FeatureStore(out)


def test_a_flipped_bit_in_a_shard_is_found_through_the_joined_store(shard, flip, tmp_path):
    first, last = shard(0, 6), shard(6, 12)
    out = join([first, last], tmp_path / "joined.h5")
    with h5py.File(last) as file:
        offset = file["features/fc6"].id.get_offset()
    flip(last, offset + 2 * 5 * 4)
    (problem,) = verify(out)
    assert "features/fc6" in problem
    assert "8 (tööl/8.jpg)" in problem


def test_the_same_shards_make_the_same_bytes(shard, tmp_path):
    parts = [shard(0, 6), shard(6, 12)]
    first = join(parts, tmp_path / "joined.h5").read_bytes()
    (tmp_path / "joined.h5").unlink()
    time.sleep(1.1)  # HDF5 knows seconds
    assert join(parts[::-1], tmp_path / "joined.h5").read_bytes() == first


def test_a_joined_store_is_read_by_plain_h5py(make, shard, tmp_path):
    out = join([shard(0, 6), shard(6, 12)], tmp_path / "joined.h5")
    with h5py.File(out) as file:
        np.testing.assert_array_equal(file["features/fc6"][:], make.features(range(12))["fc6"])
        assert file["done"][:].all()


def test_a_joined_store_takes_no_joined_one_and_not_itself(shard, tmp_path):
    parts = [shard(0, 6), shard(6, 12)]
    out = join(parts, tmp_path / "joined.h5")
    parts[1].unlink()
    parts[1].symlink_to(out)
    with pytest.raises(StoreError, match="another shard"):
        FeatureStore(out)
