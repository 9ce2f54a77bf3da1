"""Images at URLs: the tables of local folders and archives, and errors that say what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from decaf.datasets import dataset_digest, load_dataset, read_bytes
from decaf.datasets.urls import image_sizes
from decaf.errors import ConfigError, DataError
from tests.datasets.test_tars import write_tar


@pytest.fixture
def memory() -> Iterator[Any]:
    fs = fsspec.filesystem("memory")
    yield fs
    fs.rm("/", recursive=True)


def lay_out(fs: Any, *paths: str) -> None:
    for path in paths:
        fs.pipe_file(path, path.encode())


PATHS = ("dog 10/b.JPG", "dog 2/10.png", "dog 2/2.png", "cat/b.jpg", "cat/.hid.jpg", "README.md")


def test_a_folder_at_a_url_is_the_table_of_the_local_one(memory: Any, tmp_path: Path) -> None:
    lay_out(memory, *(f"/bucket/pets/{path}" for path in PATHS))
    lay_out(fsspec.filesystem("file", auto_mkdir=True), *(f"{tmp_path}/pets/{x}" for x in PATHS))
    there, here = load_dataset("memory://bucket/pets/"), load_dataset(tmp_path / "pets")
    assert there.image_ids == here.image_ids
    assert there.name == here.name == "pets"
    assert there.class_names == ("cat", "dog 2", "dog 10")
    np.testing.assert_array_equal(there.labels, here.labels)
    assert read_bytes(there, 1) == b"/bucket/pets/dog 2/2.png"
    by_file = load_dataset(f"file://{tmp_path}/pets")
    assert dataset_digest(by_file) == dataset_digest(here)
    assert read_bytes(by_file, 3) == read_bytes(here, 3)


def test_archives_at_a_url_are_the_table_of_the_local_ones(memory: Any, tmp_path: Path) -> None:
    for number in range(2):
        path = write_tar(tmp_path / "pets" / f"{number}.tar", {"a/1.jpg": b"a", "b/1.jpg": b"b"})
        memory.pipe_file(f"/bucket/pets/{number}.tar", path.read_bytes())
    here = load_dataset(tmp_path / "pets")
    for url in ("memory://bucket/pets", "memory://bucket/pets/{0..1}.tar"):
        there = load_dataset(url)
        assert dataset_digest(there) == dataset_digest(here)
        assert [read_bytes(there, row) for row in range(4)] == [b"a", b"b", b"a", b"b"]


def test_a_split_at_a_url(memory: Any) -> None:
    lay_out(memory, *(f"/b/{x}" for x in ("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg")))
    table = load_dataset("memory://b")
    assert table.official is not None
    np.testing.assert_array_equal(table.official, [[3], [1], [1]])


def test_a_image_that_vanishes_is_an_error_of_its_own(memory: Any) -> None:
    lay_out(memory, "/b/a/1.jpg", "/b/b/1.jpg")
    table = load_dataset("memory://b")
    memory.rm("/b/a/1.jpg")
    with pytest.raises(OSError, match="No such file"):
        read_bytes(table, 0)
    assert read_bytes(table, 1) == b"/b/b/1.jpg"


class _Refusing:
    def cat_file(self, path: str, **_: object) -> bytes:
        raise RuntimeError("403 Forbidden")


def test_a_file_systems_own_error_is_one_of_reading(memory: Any) -> None:
    lay_out(memory, "/b/a/1.jpg", "/b/b/1.jpg")
    table = load_dataset("memory://b")
    object.__setattr__(table.source, "fs", _Refusing())
    with pytest.raises(OSError, match="RuntimeError: 403 Forbidden"):
        read_bytes(table, 0)


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("nowhere://b/pets", ConfigError, "Protocol not known: nowhere"),
        ("memory://none/at/all", DataError, "check the address"),
        ("memory://b/only", DataError, "holds no images; lay the images out"),
        ("memory://b/loose", DataError, "holds the image '1.jpg'; lay the images out"),
    ],
)
def test_what_is_wrong_is_said(memory: Any, url: str, error: type[Exception], message: str) -> None:
    lay_out(memory, "/b/only/readme.txt", "/b/loose/1.jpg", "/b/loose/a/1.jpg")
    with pytest.raises(error, match=message):
        load_dataset(url)


def test_what_is_passed_over_at_a_url_is_counted(
    memory: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    lay_out(memory, "/b/a/1.jpg", "/b/b/1.jpg", "/b/.hid/1.jpg", "/b/a/.1.jpg", "/b/b/2.PSD")
    assert load_dataset("memory://b").image_ids == ("a/1.jpg", "b/1.jpg")
    err = capsys.readouterr().err
    assert "hidden images (2: " in err
    assert "images of kinds that are not read (1: 'b/2.PSD')" in err


class _Odd:
    """A file system that lists strange things."""

    def find(self, root: str, **_: object) -> dict[str, dict[str, int | None]]:
        here = {f"{root}/{name}/1.jpg": {"size": None} for name in "ab"}
        return here | {"/elsewhere/a/1.jpg": {"size": 1}}


def test_a_file_system_may_know_no_sizes_and_list_what_is_elsewhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert image_sizes(_Odd(), "/root", "odd://") == {"a/1.jpg": 0, "b/1.jpg": 0}
    assert "images outside of the folder (1: '/elsewhere/a/1.jpg')" in capsys.readouterr().err


class _Broken:
    def find(self, root: str, **_: object) -> None:
        raise ValueError("no such region")


def test_any_error_of_a_file_system_is_a_message() -> None:
    with pytest.raises(DataError, match="found ValueError: no such region"):
        image_sizes(_Broken(), "/root", "broken://")
