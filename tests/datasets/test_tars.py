"""Tar archives as a data set: classes, order, and archives that are not whole."""

import io
import os
import pickle
import tarfile
from contextlib import suppress
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


def test_a_table_reads_its_images_in_another_process_and_in_part(tmp_path: Path) -> None:
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


def test_an_archive_that_is_cut_short_later_loses_no_other_image(tmp_path: Path) -> None:
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
        ({"1.jpg": b"x", "1.cls": b"9" * 1_200_000}, "found 1200000 bytes in '1.cls', expected"),
        ({"1.jpg": b"x", "1.cls": b"a", "1.CLS": b"b"}, "'1' has two .cls entries"),
        ({"1.jpg": b"x", "./1.cls": b"a", "1.cls": b"b"}, "'1' has two .cls entries"),
        (
            {"0.jpg": b"x", "0.png": b"x", "0.cls": b"a"},
            "'0' has 2 images, '0.jpg' and '0.png'; leave one in",
        ),
        ({"0.l.jpg": b"x", "0.r.jpg": b"x", "0.cls": b"a"}, "'0' has 2 images, '0.l.jpg' and"),
        ({"../a/1.jpg": b"x", "b/1.jpg": b"x"}, "'../a/1.jpg' leads out of the archive"),
        ({"a/" + "1" * 5000 + ".jpg": b"x", "b/1.jpg": b"x"}, "is longer than 4096 bytes"),
        ({"a/1.txt": b"x"}, "found no images"),
        ({"a/b/c/1.jpg": b"x"}, "lay the images out as <class>/<image>"),
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
    with pytest.raises(DataError, match="found no such file"):
        load_dataset(tmp_path / "none.tar")
    with pytest.raises(ConfigError, match="empty range"):
        load_dataset(f"{tmp_path}/{{9..1}}.tar")


def write_links(
    path: Path, *entries: tuple[str, bytes | str], kind: bytes = tarfile.LNKTYPE
) -> Path:
    """Write entries, of bytes or of the name that a link leads to."""
    with tarfile.open(path, "w") as tar:
        for name, data in entries:
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = kind, data
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def labels_of(path: Path) -> dict[str, str]:
    table = load_dataset(path)
    names = [image_id.split("/", 1)[1] for image_id in table.image_ids]
    return dict(zip(names, (table.class_names[label] for label in table.labels), strict=True))


def test_keys_with_dots_have_their_own_labels(tmp_path: Path) -> None:
    truth = {"x1.0": "cat", "x1.5": "cat", "x2.0": "dog", "x2.5": "cat", "x3.0": "cat"}
    entries = {}
    for key, name in truth.items():
        entries |= {f"{key}.jpg": b"x", f"{key}.cls": name.encode()}
    path = write_tar(tmp_path / "zoom.tar", entries)
    assert labels_of(path) == {f"{key}.jpg": name for key, name in truth.items()}


def test_masks_are_no_images_of_their_samples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {}
    for key, name in enumerate((b"cat", b"dog", b"cat")):
        entries |= {f"{key}.seg.png": b"m", f"{key}.jpg": b"x", f"{key}.cls": name}
    path = write_tar(tmp_path / "masks.tar", entries | {"3.left.jpg": b"x", "3.cls": b"dog"})
    assert labels_of(path) == {"0.jpg": "cat", "1.jpg": "dog", "2.jpg": "cat", "3.left.jpg": "dog"}
    assert (
        "passed over images beside the one of their sample, such as masks (3: "
        in capsys.readouterr().err
    )


def test_a_class_may_be_in_capitals_with_a_mark(tmp_path: Path) -> None:
    entries = {"0.jpg": b"x", "0.CLS": b"\xef\xbb\xbfcat\r\n", "1.jpg": b"x", "1.cls": b"cat"}
    path = write_tar(tmp_path / "x.tar", entries | {"2.jpg": b"x", "2.cls": b"dog"})
    assert labels_of(path) == {"0.jpg": "cat", "1.jpg": "cat", "2.jpg": "dog"}


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_links_to_images_are_images(tmp_path: Path, kind: bytes) -> None:
    up = "../" if kind == tarfile.SYMTYPE else ""
    path = write_links(
        tmp_path / "links.tar",
        ("cat/2.jpg", f"{up}cat/1.jpg"),
        ("cat/0.jpg", b"zero"),
        ("cat/1.jpg", f"{up}cat/0.jpg"),
        ("dog/0.jpg", b"dog"),
        ("dog/1.jpg", f"{up}blobs/ab12"),
        ("blobs/ab12", b"blob"),
        kind=kind,
    )
    table = load_dataset(path)
    assert table.image_ids == tuple(
        f"links.tar/{name}.jpg" for name in ("cat/2", "cat/0", "cat/1", "dog/0", "dog/1")
    )
    read = [read_bytes(table, row) for row in range(5)]
    assert read == [b"zero", b"zero", b"zero", b"dog", b"blob"]


@pytest.mark.parametrize("target", ["cat/9.jpg", "../../etc/passwd", "/etc/passwd", "cat/1.jpg"])
@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_links_to_nothing_are_rows_that_fail(tmp_path: Path, kind: bytes, target: str) -> None:
    entries = (("cat/0.jpg", b"x"), ("dog/0.jpg", b"x"), ("cat/1.jpg", target))
    table = load_dataset(write_links(tmp_path / "links.tar", *entries, kind=kind))
    assert table.sizes_bytes.tolist() == [1, 1, -1]
    with pytest.raises(FileNotFoundError, match="a link to what the archive does not hold"):
        read_bytes(table, 2)


def test_a_class_may_be_a_link(tmp_path: Path) -> None:
    entries = (("0.jpg", b"x"), ("0.cls", b"cat"), ("1.jpg", b"x"), ("1.cls", "0.cls"))
    path = write_links(tmp_path / "x.tar", *entries, ("2.jpg", b"x"), ("2.cls", b"dog"))
    assert labels_of(path) == {"0.jpg": "cat", "1.jpg": "cat", "2.jpg": "dog"}


def test_appended_archives_are_read_whole(tmp_path: Path) -> None:
    parts = [
        write_tar(tmp_path / f"{n}", {f"a/{n}.jpg": b"a%d" % n, f"b/{n}.jpg": b"b%d" % n})
        for n in range(3)
    ]
    (tmp_path / "all.tar").write_bytes(b"".join(part.read_bytes() for part in parts))
    table = load_dataset(tmp_path / "all.tar")
    assert [read_bytes(table, row) for row in range(6)] == [
        b"a0", b"b0", b"a1", b"b1", b"a2", b"b2",
    ]  # fmt: skip


@pytest.mark.parametrize("tail", [b"x", b"x" * 512, b"x" * 5000])
def test_what_follows_the_end_of_an_archive_is_not_ignored(tmp_path: Path, tail: bytes) -> None:
    path = write_tar(tmp_path / "x.tar", {"a/1.jpg": b"x", "b/1.jpg": b"x"})
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(DataError, match="cut short or damaged after byte 10240"):
        load_dataset(path)


def test_hidden_folders_are_no_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = {".ipynb_checkpoints/0.jpg": b"x", "cat/.thumbs/0.jpg": b"x", "dog/._0.jpg": b"x"}
    path = write_tar(tmp_path / "x.tar", {"cat/0.jpg": b"x", "dog/0.jpg": b"x"} | hidden)
    assert labels_of(path) == {"cat/0.jpg": "cat", "dog/0.jpg": "dog"}
    assert "passed over hidden images (3: '.ipynb_che" in capsys.readouterr().err


def test_images_of_unread_kinds_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {"cat/0.jpg": b"x", "dog/0.jpg": b"x", "dog/1.PSD": b"x", "dog/2.psd": b"x"}
    load_dataset(write_tar(tmp_path / "x.tar", entries))
    said = "passed over images of kinds that are not read (2: 'dog/1.PSD', "
    assert said in capsys.readouterr().err


def test_images_that_no_decoder_reads_are_rows_as_in_folders(tmp_path: Path) -> None:
    entries = {"cat/0.jpg": b"x", "dog/0.heic": b"x", "dog/1.AVIF": b"x"}
    assert len(load_dataset(write_tar(tmp_path / "x.tar", entries)).image_ids) == 3


def test_two_unicode_forms_are_one_class(tmp_path: Path) -> None:
    entries = {"caf\u00e9/0.jpg": b"x", "cafe\u0301/1.jpg": b"x", "dog/0.jpg": b"x"}
    assert load_dataset(write_tar(tmp_path / "x.tar", entries)).class_names == ("caf\u00e9", "dog")


def test_a_sparse_image_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("a/1.jpg")
    info.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match=r"'a/1.jpg' is stored as sparse; make the archive anew"):
        load_dataset(tmp_path / "x.tar")


def test_a_range_of_too_many_archives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a range of too many archives"):
        load_dataset(f"{tmp_path}/{{0..99999999999}}.tar")


@pytest.mark.parametrize("seed", range(4))
def test_damaged_archives_are_a_table_or_a_message(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    entries: list[tuple[str, bytes | str]] = []
    for n in range(4):
        entries += [(f"{n}.jpg", b"x" * 600), (f"{n}.cls", b"ab"[n % 2 : n % 2 + 1])]
    path = write_links(tmp_path / "x.tar", *entries, ("4.jpg", "0.jpg"), ("4.cls", "0.cls"))
    whole = path.read_bytes()
    starts = [at for at in range(0, len(whole), 512) if whole[at + 257 : at + 262] == b"ustar"]
    longest = 0
    for number in range(150):
        data = bytearray(whole)
        start = int(rng.choice(starts))
        kinds = b"\0" + b"01234567gxLKSX"
        data[start + 156] = int(rng.choice(list(kinds))) if number % 2 else data[start + 156]
        for at in rng.choice([0, 5, 100, 124, 127, 134, 148, 157, 257, 345], 2):
            data[start + at] = int(rng.choice([0, 46, 47, 48, 49, 55, 128, 255]))
        if number % 3:  # most damage would be found by the checksum alone
            total = 256 + sum(data[start : start + 148]) + sum(data[start + 156 : start + 512])
            data[start + 148 : start + 156] = b"%06o\0 " % total
        path.write_bytes(data)
        try:
            table = load_dataset(path)
        except DataError as error:
            longest = max(longest, len(str(error)))
            continue
        for row in range(len(table.image_ids)):
            with suppress(OSError):
                read_bytes(table, row)
    assert 0 < longest < 1000


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop"])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.tar"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "x.tar")
    with pytest.raises(DataError, match=r"x\.tar is no regular file"):
        load_dataset(path)


def test_a_huge_file_of_zeros_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "x.tar").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(DataError, match="more than 16777216 zeros follow its end"):
        load_dataset(tmp_path / "x.tar")
