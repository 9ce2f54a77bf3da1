import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from decaf.datasets import load_dataset
from decaf.errors import ConfigError, DataError
from tests.datasets.test_tars import write_tar

FILES = {
    "train/cat/p1_a.jpg": b"1",
    "train/dog/p2_a.jpg": b"2",
    "test/cat/p3_a.jpg": b"1",
    "test/dog/p3_b.jpg": b"4",
}


@pytest.fixture
def pets(tmp_path):
    folder = tmp_path / "pets"
    for path, data in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def groups_of(dataset, pattern, **options):
    table = load_dataset(dataset, group_by=pattern, **options)
    return dict(zip(table.image_ids, table.groups, strict=True))


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("1", ["train", "train", "test", "test"]),
        (-1, ["cat", "dog", "cat", "dog"]),
        (r"p\d", ["p1", "p2", "p3", "p3"]),
        (r"/(\w)[^/]*/p", ["c", "d", "c", "d"]),
        (r"(?:train|test)/(cat)?", None),
    ],
)
def test_a_level_of_folders_or_an_expression_names_the_group(pets, pattern, names):
    if names is None:
        with pytest.raises(DataError, match=r"found 2 of 4 images that do not match, first"):
            load_dataset(pets, group_by=pattern)
    else:
        assert groups_of(pets, pattern) == dict(zip(FILES, names, strict=True))


def test_identical_files_are_a_group(pets):
    found = groups_of(pets, "content")
    assert found["train/cat/p1_a.jpg"] == found["test/cat/p3_a.jpg"]
    assert len(set(found.values())) == 3


def test_archives_urls_and_lists_have_groups_too(pets, tmp_path):
    write_tar(tmp_path / "tars" / "x.tar", {"a/u-1.jpg": b"1", "b/v-1.jpg": b"1"})
    tars = groups_of(tmp_path / "tars", r"(.)-")
    assert tars == {"x.tar/a/u-1.jpg": "u", "x.tar/b/v-1.jpg": "v"}
    assert len(set(groups_of(tmp_path / "tars", "content").values())) == 1
    memory = MemoryFileSystem()
    memory.store.clear()
    for path in ("/own/a/u-1.jpg", "/own/b/v-1.jpg"):
        memory.pipe(path, b"x")
    assert groups_of("memory://own", r"(.)-") == {"a/u-1.jpg": "u", "b/v-1.jpg": "v"}
    (tmp_path / "own.csv").write_text("path,label\npets/train/cat/p1_a.jpg,c\npets/x/y,d\n")
    assert list(groups_of(tmp_path / "own.csv", "2").values()) == ["train", "x"]


def test_a_named_data_set_and_a_limit(tmp_path):
    found = groups_of("digits", r"\d(?=\.png)", data_root=tmp_path, limit=100)
    assert len(found) == 100
    assert all(
        name == group + ".png" or name.endswith(group + ".png") for name, group in found.items()
    )


def test_a_table_that_is_made_already_can_be_grouped_once(pets):
    table = load_dataset(load_dataset(pets), group_by="-1")
    assert list(table.groups) == [name.split("/")[1] for name in table.image_ids]
    with pytest.raises(ConfigError, match="which has groups already"):
        load_dataset(table, group_by="1")


@pytest.mark.parametrize(
    ("pattern", "error", "message"),
    [
        ("3", DataError, "by '3', found 4 of 4 images that do not match, first 'test/cat/p3_a"),
        ("p[12]", DataError, "found 2 of 4 images that do not match, first 'test/cat/p3_a.jpg'"),
        ("0", ConfigError, "count from 1"),
        ("(", ConfigError, r"by '\(', which is no regular expression: missing"),
    ],
)
def test_patterns_that_do_not_fit_are_refused(pets, pattern, error, message):
    with pytest.raises(error, match=message):
        load_dataset(pets, group_by=pattern)


def test_a_column_of_a_list_names_groups(tmp_path):
    file = tmp_path / "own.csv"
    (tmp_path / "a.jpg").write_bytes(b"x")
    file.write_text("path,label,GROUP\na.jpg,cat,cafe\u0301\nb.jpg,dog, p2\nc.jpg,dog,caf\u00e9\n")
    table = load_dataset(file)
    assert list(table.groups) == ["caf\u00e9", "p2", "caf\u00e9"]
    assert list(load_dataset(file, limit=2).groups) == ["caf\u00e9", "p2"]
    file.write_text("path,label,group\na.jpg,cat,p1\nb.jpg,dog,\n")
    with pytest.raises(DataError, match=r"line 3: the group of 'b.jpg' is empty; fill it in"):
        load_dataset(file)
    file.write_text("path,label,group\na.jpg,cat,\nb.jpg,dog,\n")
    assert load_dataset(file).groups is None
    np.testing.assert_array_equal(load_dataset(file).labels, [0, 1])
