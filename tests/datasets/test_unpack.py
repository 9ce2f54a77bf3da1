import io
import stat
import tarfile
import zipfile
import zlib

import pytest

from decaf.datasets.unpack import most_bytes, unpack
from decaf.errors import DataError


def tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as packed:
        for name, change in members:
            member = tarfile.TarInfo(name)
            body = b""
            if isinstance(change, bytes):
                body, member.size = change, len(change)
            else:
                for field, value in change.items():
                    setattr(member, field, value)
            packed.addfile(member, io.BytesIO(body))
    return path


def zipped(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as packed:
        for name, body, mode in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            packed.writestr(info, body, compression)
    return path


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2"])
def test_a_tar_is_unpacked(tmp_path, mode):
    link = {"type": tarfile.LNKTYPE, "linkname": "a/1.jpg"}
    archive = tar(tmp_path / "x.tar", ("a/1.jpg", b"one"), ("a/2.jpg", link), mode=mode)
    unpack(archive, tmp_path / "into")
    assert files(tmp_path / "into") == {"a/1.jpg": b"one", "a/2.jpg": b"one"}


def test_a_zip_is_unpacked_whatever_its_name(tmp_path):
    archive = zipped(tmp_path / "x.bin", ("a/1.jpg", b"one", 0o644), ("b.txt", b"two", 0))
    unpack(archive, tmp_path / "into")
    assert files(tmp_path / "into") == {"a/1.jpg": b"one", "b.txt": b"two"}


def test_a_plain_file_is_copied(tmp_path):
    (tmp_path / "TrainImages.txt").write_text("a/1.jpg")
    unpack(tmp_path / "TrainImages.txt", tmp_path / "into")
    assert files(tmp_path / "into") == {"TrainImages.txt": b"a/1.jpg"}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("../out.jpg", b"x"),
        ("a/../../out.jpg", b"x"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "../../out"}),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "../out"}),
        ("null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}),
        ("disk", {"type": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
    ],
)
def test_a_dangerous_tar_is_refused(tmp_path, name, change):
    archive = tar(tmp_path / "x.tar.gz", ("a.jpg", b"x"), (name, change))
    with pytest.raises(DataError, match=r"refused to unpack x\.tar\.gz"):
        unpack(archive, tmp_path / "deep" / "into")
    assert set(files(tmp_path)) == {"x.tar.gz", "deep/into/a.jpg"}


def test_a_tar_with_an_absolute_path_stays_inside(tmp_path):
    unpack(tar(tmp_path / "x.tar", (f"{tmp_path}/out.jpg", b"x")), tmp_path / "into")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize(
    ("name", "mode", "reason"),
    [
        ("../out.jpg", 0o644, "outside of the folder"),
        ("/out.jpg", 0o644, "outside of the folder"),
        ("a\\..\\out.jpg", 0o644, "outside of the folder"),
        ("link", stat.S_IFLNK | 0o777, "is a link or a device file"),
        ("null", stat.S_IFCHR | 0o666, "is a link or a device file"),
    ],
)
def test_a_dangerous_zip_is_refused(tmp_path, name, mode, reason):
    archive = zipped(tmp_path / "x.zip", (name, b"/etc/passwd", mode))
    with pytest.raises(DataError, match=rf"refused to unpack x\.zip: .*{reason}"):
        unpack(archive, tmp_path / "into")
    assert set(files(tmp_path)) == {"x.zip"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, kind):
    bomb = bytes(most_bytes(10**6))
    if kind == "zip":
        archive = zipped(tmp_path / "x.zip", ("zeros", bomb, 0))
    else:
        archive = tar(tmp_path / "x.tar.gz", ("zeros", bomb))
    assert archive.stat().st_size < 10**6
    with pytest.raises(DataError, match="bytes are expected"):
        unpack(archive, tmp_path / "into")
    assert files(tmp_path / "into") == {}


def cut(data):
    return data[: len(data) // 2]


def flip(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


@pytest.mark.parametrize(("name", "damage"), [("x.tar.gz", cut), ("x.tar", cut), ("x.zip", flip)])
def test_a_damaged_archive_is_reported(tmp_path, name, damage):
    body = zlib.compress(bytes(range(256)) * 9) * 99
    if name == "x.zip":
        archive = zipped(tmp_path / name, ("a.jpg", body, 0))
    else:
        archive = tar(tmp_path / name, ("a.jpg", body), mode="w:gz" if "gz" in name else "w")
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(DataError, match="cannot unpack"):
        unpack(archive, tmp_path / "into")
