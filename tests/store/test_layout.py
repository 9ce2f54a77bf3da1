from dataclasses import replace

import h5py
import numpy as np
import pytest

from decaf.errors import StoreError
from decaf.store.layout import TABLE, plan_layout, table_crc32, table_of


@pytest.fixture
def plan(make):
    def plan(n_views=1, **changes):
        return plan_layout(make.provenance(**changes), make.dataset(), make.n_features, n_views)

    return plan


def test_made_whole_with_no_row_done_and_no_holes_in_the_plan(plan, tmp_path):
    path = tmp_path / "a.h5"
    layout = plan(n_views=2, dtype="float16")
    layout.make(path)
    with h5py.File(path) as file:
        assert file["features/fc6"].shape == (12, 2, 5)
        assert file["features/fc6"].dtype == np.float16
        assert file["features/fc6"].chunks is None
        assert not file["done"][:].any()
    assert path.stat().st_size <= layout.n_bytes


def test_the_same_layout_is_the_same_bytes(plan, tmp_path):
    for name in ("a", "b"):
        plan().make(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_offsets_are_where_hdf5_reads(plan, tmp_path):
    path = tmp_path / "a.h5"
    layout = plan()
    layout.make(path)
    offsets = layout.offsets(path)
    with path.open("r+b") as file:
        file.seek(offsets["features/features.12"] + 3 * 4 * 2)
        file.write(np.array([1, 2, 3], "<f4").tobytes())
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["features/features.12"][2], [1, 2, 3])
    assert set(offsets) == {
        "features/fc6", "features/features.12", "crc32/fc6", "crc32/features.12",
        "image_sha256", "image_sizes_px", "image_stamp", "row_crc32", "done",
    }  # fmt: skip


def test_another_shape_or_table_is_refused(plan, make, tmp_path):
    path = tmp_path / "a.h5"
    plan().make(path)
    wider = plan_layout(make.provenance(), make.dataset(), {"fc6": 6, "features.12": 3}, 1)
    with pytest.raises(StoreError, match=r"features/fc6 as float32\(12, 6\).*float32\(12, 5\)"):
        wider.offsets(path)
    moved = make.dataset(labels=np.arange(12) % 2)
    with pytest.raises(StoreError, match="another table"):
        plan_layout(make.provenance(), moved, make.n_features, 1).offsets(path)


@pytest.mark.parametrize(
    ("changes", "n_features", "message"),
    [
        ({"dtype": "float64"}, None, "choose one of: float32, float16"),
        ({"n_images": 13}, None, "asked for 13 rows, found 12 images"),
        ({}, {"fc6": 5}, "found feature counts for fc6"),
        ({"layers": ("a/b",)}, {"a/b": 5}, "without '/'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, changes, n_features, message):
    provenance = make.provenance(**changes)
    with pytest.raises(StoreError, match=message):
        plan_layout(provenance, make.dataset(), n_features or make.n_features, 1)


def test_no_images_are_refused(make):
    with pytest.raises(StoreError, match="one image at least"):
        plan_layout(make.provenance(n_images=0), make.dataset(0), make.n_features, 1)


def test_a_name_that_is_not_utf8_is_refused(make):
    names = ("a\udcff.jpg", *make.dataset().image_ids[1:])
    with pytest.raises(StoreError, match="not UTF-8; rename"):
        table_of(make.dataset(image_ids=names))


def test_table_leaves_out_what_the_data_set_has_not(make):
    table = table_of(make.dataset(official=None, boxes=None, groups=None))
    assert list(table) == ["image_ids", "class_names", "labels", "partial"]


@pytest.mark.parametrize("column", TABLE)
def test_every_column_counts_in_the_checksum(make, column):
    dataset = make.dataset()
    more = {"image_labels": dataset.labels, "image_boxes": dataset.boxes}
    table = table_of(replace(dataset, **more, domains=dataset.groups))
    before = table_crc32(table)
    table[column].view("u1").reshape(-1)[0] ^= 1
    assert table_crc32(table) != before
    table.pop(column)
    assert table_crc32(table) != before
