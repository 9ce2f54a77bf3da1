"""Tar archives as a data set: classes, order, and archives that are not whole."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from decaf.datasets import dataset_digest, load_dataset, read_bytes
from decaf.errors import ConfigError, DataError


def write_tar(path: Path, entries: dict[str, bytes], mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as tar:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_webdataset_shards(tmp_path: Path) -> None:
    for number in (9, 10):
        write_tar(
            tmp_path / "pets" / f"{number:03d}.tar",
            {
                "0002.jpg": b"first %d" % number,
                "0002.cls": b"10",
                "0002.json": b"{}",
                "0001.cls": b"9\n",
                "0001.jpg": b"second %d" % number,
            },
        )
    table = load_dataset(f"{tmp_path}/pets/{{009..010}}.tar")
    assert table.name == "pets"
    assert table.image_ids == (
        "009.tar/0002.jpg", "009.tar/0001.jpg", "010.tar/0002.jpg", "010.tar/0001.jpg",
    )  # fmt: skip
    assert table.class_names == ("9", "10")
    np.testing.assert_array_equal(table.labels, [1, 0, 1, 0])
    np.testing.assert_array_equal(table.sizes_bytes, [7, 8, 8, 9])
    assert [read_bytes(table, row) for row in range(4)] == [
        b"first 9", b"second 9", b"first 10", b"second 10",
    ]  # fmt: skip
    assert dataset_digest(load_dataset(tmp_path / "pets")) == dataset_digest(table)


def test_folders_in_an_archive_are_classes(tmp_path: Path) -> None:
    entries = {"./dog/1.2.jpg": b"x", "./cat/2.PNG": b"y", "./dog/._1.jpg": b"z", "./a.txt": b"t"}
    table = load_dataset(write_tar(tmp_path / "pets.tar", entries))
    assert table.name == "pets"
    assert table.image_ids == ("pets.tar/dog/1.2.jpg", "pets.tar/cat/2.PNG")
    assert table.class_names == ("cat", "dog")
    assert table.official is None


@pytest.mark.parametrize("image_id", ["pets.tar/a/0.jpg", "pets.tar/b/2.jpg", "z" * 99, ""])
def test_an_id_that_no_archive_has_is_not_read(tmp_path: Path, image_id: str) -> None:
    table = load_dataset(write_tar(tmp_path / "pets.tar", {"a/1.jpg": b"x", "b/1.jpg": b"y"}))
    assert table.source is not None
    with pytest.raises(FileNotFoundError, match="No such file"):
        table.source.read(image_id)


def test_sides_above_the_classes_are_an_official_split(tmp_path: Path) -> None:
    entries = {"train/a/1.jpg": b"x", "train/b/1.jpg": b"x", "test/a/1.jpg": b"x"}
    table = load_dataset(write_tar(tmp_path / "pets.tar", entries))
    np.testing.assert_array_equal(table.official, [[1], [1], [3]])


def test_a_table_reads_its_pictures_in_another_process_and_in_part(tmp_path: Path) -> None:
    write_tar(tmp_path / "pets.tar", {f"{'ab'[i % 2]}/{i}.jpg": b"%d" % i for i in range(8)})
    table = pickle.loads(pickle.dumps(load_dataset(tmp_path / "pets.tar", limit=4)))
    assert [read_bytes(table, row) for row in range(4)] == [b"0", b"2", b"4", b"6"]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.8])
def test_an_archive_that_is_cut_short_is_refused(tmp_path: Path, kept: float) -> None:
    entries = {f"{'ab'[i % 2]}/{i}.jpg": bytes(1500) for i in range(20)}
    path = write_tar(tmp_path / "pets.tar", entries)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(DataError, match=r"pets.tar is .*fetch or make it anew"):
        load_dataset(path)


@pytest.mark.parametrize("n_bytes", [0, 512, 1024 * 5, 1024 * 5 + 512, 1024 * 5 + 700])
def test_an_archive_cut_at_an_entry_or_within_a_header_is_refused(
    tmp_path: Path, n_bytes: int
) -> None:
    path = write_tar(tmp_path / "pets.tar", {f"{'ab'[i % 2]}/{i}.jpg": b"x" for i in range(20)})
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(DataError, match=r"pets.tar is .*fetch or make it anew"):
        load_dataset(path)


def test_an_archive_that_is_cut_short_later_loses_no_other_picture(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "pets.tar", {"a/1.jpg": b"one", "b/2.jpg": b"two"})
    table = load_dataset(path)
    path.write_bytes(path.read_bytes()[: 512 * 3 + 1])
    assert read_bytes(table, 0) == b"one"
    with pytest.raises(OSError, match=r"pets.tar is cut short: found 1 of 3 bytes"):
        read_bytes(table, 1)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"1.jpg": b"x", "a/2.jpg": b"x"}, "'1.jpg' has no class; put it into a folder"),
        ({"1.jpg": b"x", "1.cls": b"0", "2.jpg": b"x"}, "'2.jpg' has no .cls as others have"),
        ({"1.jpg": b"x", "1.cls": b"\xff"}, "expected the name of a class"),
        ({"a/1.txt": b"x"}, "found no pictures"),
        ({"a/b/c/1.jpg": b"x"}, "lay the pictures out as <class>/<picture>"),
        ({"a/1.jpg": b"x", "a/./1.jpg": b"x"}, "'a/1.jpg' twice"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, entries: dict[str, bytes], message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_dataset(write_tar(tmp_path / "pets.tar", entries))


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "pets.tar", {"a/1.jpg": bytes(99), "b/1.jpg": b"x"}, "w:gz")
    with pytest.raises(DataError, match="make it anew, uncompressed"):
        load_dataset(path)


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="FileNotFoundError"):
        load_dataset(tmp_path / "none.tar")
    with pytest.raises(ConfigError, match="empty range"):
        load_dataset(f"{tmp_path}/{{9..1}}.tar")
