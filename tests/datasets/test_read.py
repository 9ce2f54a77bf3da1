"""Only regular files of a bounded size are read, and what is wrong with another is said."""

import os
import socket
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from decaf.datasets import ImageFiles, load_dataset, read_bytes, read_image
from decaf.datasets.patch_tables import patch_table
from decaf.datasets.read import MAX_FILE_BYTES, read_file, read_part
from decaf.errors import DataError
from decaf.types import PatchRule


def fifo(path: Path) -> None:
    os.mkfifo(path)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def listener(path: Path) -> None:
    os.chdir(path.parent)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


ODD = {
    "fifo": (fifo, "not a regular file but a FIFO"),
    "sparse": (sparse, f"too large: {2**40} bytes, at most {MAX_FILE_BYTES} are read"),
    "device": (device, "not a regular file but a device"),
    "folder": (Path.mkdir, "not a regular file but a folder"),
    "to-itself": (to_itself, "Too many levels of symbolic links"),
    "socket": (listener, "No such device or address|not a regular file but a socket"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_files_are_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make, reason = ODD[kind]
    make(tmp_path / "1.jpg")
    start = time.monotonic()
    with pytest.raises(OSError, match=reason):
        read_file(tmp_path / "1.jpg")
    with pytest.raises(DataError, match=f"^({reason})$"):
        read_image(ImageFiles(tmp_path), "1.jpg")
    with pytest.raises(OSError, match=reason):
        read_part(fsspec.filesystem("file"), str(tmp_path / "1.jpg"))
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("name", ["a\0.jpg", "a\ud800.jpg", "a" * 5000 + ".jpg", "none.jpg"])
def test_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"no file can have this name|File name too long|No such"):
        read_image(ImageFiles(tmp_path), name)


def test_a_file_whose_name_is_not_utf8_is_told_from_one_that_is_not_there(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).touch()
    with pytest.raises(DataError, match="the name of the file is not UTF-8; rename it"):
        read_image(ImageFiles(tmp_path), "caf\\xe9.jpg")


def test_the_sizes_of_patches_are_read_from_regular_files_alone(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (60, 40)).save(tmp_path / name / "1.png")
    os.mkfifo(tmp_path / "a" / "2.png")
    table = patch_table(load_dataset(tmp_path), PatchRule(scales=(1.0,)), None)
    assert table.boxes is not None
    of_fifo = [image_id == "a/2.png" for image_id in table.image_ids]
    np.testing.assert_array_equal(table.boxes[of_fifo], [[0, 0, 1, 1]])


def test_what_an_archive_says_to_be_too_large_is_not_read(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/odd/a/1.jpg", b"x")
    fs.pipe_file("/odd/b/1.jpg", b"x")
    table = load_dataset("memory://odd")
    fs.rm("/odd", recursive=True)
    table.sizes_bytes[0] = 2**40
    with pytest.raises(OSError, match="too large"):
        read_bytes(table, 0)
