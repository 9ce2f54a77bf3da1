"""A zip of class folders is the same table, and the same bytes, as the folder."""

import pickle
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from decaf.datasets import load_dataset
from decaf.datasets.read import read_bytes
from decaf.datasets.stamps import stamp_of
from decaf.errors import DataError


def folder_of(images, top):
    rng = np.random.default_rng(0)
    for name in images:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)).save(path)
    return top


@pytest.mark.parametrize("packed", [".", "pets"])
@pytest.mark.parametrize("sides", [("",), ("train/", "test/")])
def test_it_is_read_as_the_folder_is(packed, sides, tmp_path):
    names = [f"{side}{c}/{i}.png" for side in sides for c in ("cat", "dög") for i in (2, 10, 1)]
    folder = folder_of(names, tmp_path / "pets")
    base = tmp_path if packed == "pets" else folder
    file = shutil.make_archive(str(tmp_path / "z" / "pets"), "zip", base, packed)
    found, expected = load_dataset(file), load_dataset(folder)
    assert list(found.image_ids) == list(expected.image_ids)
    assert (found.name, found.class_names) == (expected.name, expected.class_names)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.sizes_bytes, expected.sizes_bytes)
    if sides != ("",):
        np.testing.assert_array_equal(found.official, expected.official)
    there = pickle.loads(pickle.dumps(found))  # as it goes to another process
    rows = range(len(expected.image_ids))
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda row: read_bytes(there, row), rows))
    assert read == [read_bytes(expected, row) for row in rows]


def test_what_is_no_image_is_passed_over_and_links_are_not_followed(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as archive:
        for name in ("a/1.jpg", "b/1.jpg", "a/notes.txt", "__MACOSX/a/._1.jpg", "a/.x.jpg"):
            archive.writestr(name, b"x")
        link = zipfile.ZipInfo("a/link.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    table = load_dataset(tmp_path / "mine.zip")
    assert list(table.image_ids) == ["a/1.jpg", "b/1.jpg"]
    said = capsys.readouterr().err
    assert "'a/notes.txt'" in said
    assert "links (1: 'a/link.jpg')" in said


def test_a_changed_image_has_another_stamp_and_a_damaged_one_says_so(tmp_path):
    stamps = []
    for content in (b"one", b"two"):
        with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
            archive.writestr("a/1.jpg", content)
            archive.writestr("b/1.jpg", b"same")
        table = load_dataset(tmp_path / "m.zip")
        stamps.append([stamp_of(table, row) for row in (0, 1)])
    assert stamps[0][0] != stamps[1][0]
    assert stamps[0][1] == stamps[1][1] != b""
    data = (tmp_path / "m.zip").read_bytes()
    (tmp_path / "m.zip").write_bytes(data.replace(b"two", b"twO"))
    with pytest.raises(OSError, match="Bad CRC-32"):
        read_bytes(load_dataset(tmp_path / "m.zip"), 0)


def test_what_cannot_be_a_data_set_is_said(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(DataError, match="no sound zip archive"):
        load_dataset(tmp_path / "no.zip")
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        archive.writestr("1.jpg", b"x")
    with pytest.raises(DataError, match="lay the images out as <class>/<image>"):
        load_dataset(tmp_path / "flat.zip")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("a/readme.txt", b"x")
    with pytest.raises(DataError, match="holds no images"):
        load_dataset(tmp_path / "none.zip")
    data = bytearray((tmp_path / "flat.zip").read_bytes().replace(b"1.jpg", b"a.jpg"))
    data[data.index(b"PK\1\2") + 8] |= 1  # the bit of encryption in the archive's list
    (tmp_path / "locked.zip").write_bytes(data)
    with pytest.raises(DataError, match="is encrypted; unpack it"):
        load_dataset(tmp_path / "locked.zip")
