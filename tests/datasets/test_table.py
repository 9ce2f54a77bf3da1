import dataclasses
import hashlib
import json
import tracemalloc

import numpy as np
import pytest

from decaf.datasets import dataset_digest, read_bytes
from decaf.datasets.image_tables import (
    image_table,
    official_sides,
    slice_rows,
    take,
)
from decaf.errors import ConfigError, DataError


@pytest.fixture
def build(tmp_path):
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(b"x" * number)

    def table(ids=("1.jpg", "2.jpg", "3.jpg"), labels=(0, 1, 1), names=("cat", "dog"), **options):
        return image_table("pets", tmp_path, ids, labels, names, **options)

    return table


def test_a_table_has_sizes_and_plain_types(build):
    table = build(ids=("3.jpg", "gone.jpg", "1.jpg"), official=np.array([[1], [3], [3]]))
    np.testing.assert_array_equal(table.sizes_bytes, [3, -1, 1])
    assert table.sizes_bytes.dtype == np.int64
    assert table.labels.dtype == np.int64
    assert table.official.dtype == np.int8
    assert table.image_ids == ("3.jpg", "gone.jpg", "1.jpg")
    assert not table.partial


def test_several_labels_are_a_matrix(build):
    table = build(labels=np.array([[1, -1], [0, 1], [1, 1]]))
    assert table.labels.dtype == np.int8
    np.testing.assert_array_equal(table.labels[1], [0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": ("1.jpg", "2.jpg", "1.jpg")}, "'1.jpg' is listed twice"),
        ({"ids": ("a.jpg", "b.jpg", "c.jpg")}, "none of its 3 images is under"),
        ({"labels": (0, 1)}, "2 rows of labels for 3 images"),
        ({"labels": (0, 1, 2)}, "labels reach beyond 0 to 1"),
        ({"labels": (0, 1, -1)}, "labels reach beyond 0 to 1"),
        ({"labels": np.full((3, 2), 2)}, "labels reach beyond -1 to 1"),
        ({"labels": (0, 0, 0), "names": ("cat",)}, r"found 1 class \(cat\)"),
        ({"official": np.ones((2, 1))}, "2 rows of official for 3 images"),
        ({"boxes": np.ones((2, 4))}, "2 rows of boxes for 3 images"),
        ({"ids": ("1.jpg", "2.jpg", "\udcff.jpg")}, "is not UTF-8; rename the file"),
    ],
)
def test_contradictions_are_refused(build, change, message):
    with pytest.raises(DataError, match=message):
        build(**change)


def test_boxes_tell_rows_of_one_image_apart(build):
    table = build(ids=("1.jpg", "1.jpg", "2.jpg"), boxes=np.arange(12).reshape(3, 4))
    assert table.boxes.dtype == np.float32


def test_digest_is_of_everything_but_the_root_and_sizes(build, tmp_path):
    table = build(official=np.array([[1], [3], [3]]), boxes=np.ones((3, 4)))
    digest = dataset_digest(table)
    assert len(digest) == 64
    assert dataset_digest(dataclasses.replace(table, root=tmp_path / "elsewhere")) == digest
    changes = {
        "name": "animals",
        "image_ids": ("1.jpg", "3.jpg", "2.jpg"),
        "labels": np.array([0, 1, 0]),
        "class_names": ("cat", "doc"),
        "official": np.array([[1], [2], [3]], dtype=np.int8),
        "boxes": None,
    }
    others = {dataset_digest(dataclasses.replace(table, **{k: v})) for k, v in changes.items()}
    assert len(others | {digest}) == len(changes) + 1
    grown = dataclasses.replace(table, sizes_bytes=np.array([1, 2, 4]))
    assert dataset_digest(grown) == digest, "stores compare contents, of which a size says little"


def test_digest_stays_the_same_over_releases(build):
    assert dataset_digest(build()) == (
        "957ba13a6af1fb51d49a1d4bc3a669fff872a6f41f84d2aae97acbce5b1b0e68"
    )


@pytest.mark.parametrize(("n_images", "rows"), [(1, [0]), (2, [0, 5]), (3, [0, 3, 6]), (9, None)])
def test_take_is_evenly_spaced_and_marked(build, n_images, rows):
    ids = tuple(f"{number}.jpg" for number in range(10))
    table = build(ids=ids, labels=np.arange(10) % 2, official=np.arange(10)[:, None] % 4)
    taken = take(table, n_images)
    rows = list(range(9)) if rows is None else rows
    assert taken.image_ids == tuple(ids[row] for row in rows)
    np.testing.assert_array_equal(taken.labels, np.array(rows) % 2)
    np.testing.assert_array_equal(taken.official, np.array(rows)[:, None] % 4)
    np.testing.assert_array_equal(taken.sizes_bytes, rows)
    assert taken.class_names == ("cat", "dog")
    assert taken.partial


def test_take_of_all_or_more_changes_nothing(build):
    table = build()
    assert take(table, 3) is table
    assert take(table, 99) is table


@pytest.mark.parametrize("n_images", [0, -1])
def test_take_of_nothing_is_refused(build, n_images):
    with pytest.raises(ConfigError, match="give 1 or more"):
        take(build(), n_images)


def test_official_sides_are_coded_as_in_the_type():
    codes = official_sides("pets", ["test", "train", "val", "train"])
    np.testing.assert_array_equal(codes, [[3], [1], [2], [1]])


@pytest.mark.parametrize("sides", [["train", "train"], ["test", "val"]])
def test_official_sides_need_training_and_held_out_rows(sides):
    with pytest.raises(DataError, match="it needs images under 'train', and held-out ones"):
        official_sides("pets", sides)


def test_the_digest_of_many_ids_is_that_of_their_json(build):
    ids = tuple(f"é{number}.jpg" for number in range(10_000))
    table = dataclasses.replace(build(), image_ids=ids)
    words = json.dumps([table.name, list(table.class_names), list(ids)], ensure_ascii=False)
    expected = hashlib.sha256(words.encode())
    column = table.labels
    expected.update(f"{column.dtype.str}{column.shape};".encode() + column.tobytes())
    expected.update(b"none;none;")
    assert dataset_digest(table) == expected.hexdigest()


def test_one_path_that_no_file_can_have_does_not_fill_the_memory(build):
    ids = [*(f"{number}.jpg" for number in range(30_000)), "x" * 100_000]
    tracemalloc.start()
    with pytest.raises(DataError, match=r"the path 'x+'... has 100000 characters, which no file"):
        build(ids, np.arange(30_001) % 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 50e6


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.jpg"])
def test_a_path_that_no_file_can_have_is_a_row_that_fails(build, name):
    table = build(("1.jpg", "2.jpg", name))
    assert table.sizes_bytes.tolist() == [1, 2, -1]
    with pytest.raises(OSError, match=r"File name too long|no file can have this name"):
        read_bytes(table, 2)


def test_groups_are_part_of_a_table(tmp_path):
    (tmp_path / "a").touch()
    common = ("t", tmp_path, ["a", "b", "c"], [0, 1, 1], ["x", "y"])
    table = image_table(*common, groups=["p1", "p2", "p1"])
    assert list(slice_rows(table, slice(1, 3)).groups) == ["p2", "p1"]
    digests = {dataset_digest(image_table(*common, groups=g)) for g in (None, ["p"] * 3, ["q"] * 3)}
    assert len(digests | {dataset_digest(table)}) == 4
    with pytest.raises(DataError, match="2 rows of groups for 3 images"):
        image_table(*common, groups=["p1", "p2"])
