import io
import posixpath
import stat
import tarfile
import tracemalloc
import zipfile
import zlib
from contextlib import suppress

import numpy as np
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


def test_a_tar_with_an_absolute_path_is_refused(tmp_path):
    with pytest.raises(DataError, match="would be written outside of the folder"):
        unpack(tar(tmp_path / "x.tar", (f"{tmp_path}/out.jpg", b"x")), tmp_path / "into")
    assert set(files(tmp_path)) == {"x.tar"}


def link_to(target, kind=tarfile.SYMTYPE):
    return {"type": kind, "linkname": target}


def evil_members():
    """Folders and links whose real path is longer than what the interpreter resolves."""
    path, steps = "", []
    for letter in "abcdefghijklmnop":
        folder = "d" * 247
        yield posixpath.join(path, folder), {"type": tarfile.DIRTYPE}
        yield posixpath.join(path, letter), link_to(folder)
        path = posixpath.join(path, folder)
        steps.append(letter)
    through = posixpath.join(*steps, "l" * 254)
    yield through, link_to("../" * len(steps))
    yield "escape", link_to(through + "/../..")
    yield "escape/OUTSIDE", b"evil"


def test_nothing_is_written_through_links(tmp_path):
    archive = tar(tmp_path / "evil.tar", *evil_members())
    (tmp_path / "deep").mkdir()
    with pytest.raises(DataError, match=r"refused to unpack evil\.tar"):
        unpack(archive, tmp_path / "deep" / "into")
    assert set(files(tmp_path)) == {"evil.tar"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_folder_that_leads_outside_is_not_written_to(tmp_path):
    (tmp_path / "into").mkdir()
    (tmp_path / "into" / "a").symlink_to(tmp_path)
    for archive in (
        tar(tmp_path / "x.tar", ("a/out.jpg", b"x")),
        tar(tmp_path / "y.tar", ("a/deep", {"type": tarfile.DIRTYPE})),
        zipped(tmp_path / "x.zip", ("a/out.jpg", b"x", 0)),
    ):
        with pytest.raises(DataError, match="outside of the folder"):
            unpack(archive, tmp_path / "into")
    assert not (tmp_path / "out.jpg").exists()
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize(
    "name", ["n" * 256, "a/" * 100 + "1.jpg", "/".join(["d" * 250] * 20), "b" * 5000]
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_that_are_too_long_or_deep_are_refused(tmp_path, name, kind):
    if kind == "zip":
        archive = zipped(tmp_path / "x.zip", (name, b"x", 0))
    else:
        archive = tar(tmp_path / "x.tar", (name, b"x"))
    with pytest.raises(DataError, match=r"refused to .*(too long or too deep|longer than)"):
        unpack(archive, tmp_path / "into")
    assert files(tmp_path / "into") == {}


def test_links_to_files_before_them_are_copies(tmp_path):
    archive = tar(
        tmp_path / "x.tar",
        ("a/1.jpg", b"one"),
        ("a/2.jpg", link_to("a/1.jpg", tarfile.LNKTYPE)),
        ("b/3.jpg", link_to("../a/1.jpg")),
        ("b/4.jpg", link_to("3.jpg")),
    )
    unpack(archive, tmp_path / "into")
    assert files(tmp_path / "into") == dict.fromkeys(
        ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/4.jpg"), b"one"
    )
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


def test_copies_count_in_what_an_archive_may_unpack_to(tmp_path):
    members = [(f"{n}", link_to("0", tarfile.LNKTYPE)) for n in range(1, 99)]
    archive = tar(tmp_path / "x.tar", ("0", bytes(2**21)), *members)
    with pytest.raises(DataError, match="bytes are expected"):
        unpack(archive, tmp_path / "into")


def test_the_last_of_two_files_of_one_name_is_kept(tmp_path):
    unpack(tar(tmp_path / "x.tar", ("1.jpg", b"old"), ("1.jpg", b"new")), tmp_path / "into")
    assert files(tmp_path / "into") == {"1.jpg": b"new"}


def test_a_zip_made_on_windows_is_unpacked(tmp_path):
    unpack(zipped(tmp_path / "x.zip", ("set\\cat\\1.jpg", b"one", 0)), tmp_path / "into")
    assert files(tmp_path / "into") == {"set/cat/1.jpg": b"one"}


@pytest.mark.parametrize("mode", ["w:xz", "w:gz", "w"])
def test_a_huge_header_is_not_read(tmp_path, mode):
    with tarfile.open(tmp_path / "x.tar", mode, format=tarfile.PAX_FORMAT) as packed:
        member = tarfile.TarInfo("a.jpg")
        member.pax_headers = {"comment": "x" * 50_000_000}
        packed.addfile(member, io.BytesIO())
    tracemalloc.start()
    with pytest.raises(DataError, match="has more than 65536 bytes of headers"):
        unpack(tmp_path / "x.tar", tmp_path / "into")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def header(name, kind, size):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def test_chains_of_headers_are_bounded(tmp_path):
    record = b"20 comment=abcdefgh\n"
    record += bytes(512 - len(record))
    (tmp_path / "x.tar").write_bytes((header("h", tarfile.XHDTYPE, 20) + record) * 3000)
    with pytest.raises(DataError, match="has more than 65536 bytes of headers"):
        unpack(tmp_path / "x.tar", tmp_path / "into")


def test_a_size_below_zero_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(header("a.jpg", tarfile.REGTYPE, -512) + bytes(1024))
    with pytest.raises(DataError, match="has a size below zero"):
        unpack(tmp_path / "x.tar", tmp_path / "into")


def test_an_archive_without_its_end_mark_is_reported(tmp_path):
    archive = tar(tmp_path / "x.tar", ("a.jpg", b"x"), ("b.jpg", b"y"), mode="w")
    archive.write_bytes(archive.read_bytes()[:1024])
    with pytest.raises(DataError, match="cut short"):
        unpack(archive, tmp_path / "into")


@pytest.mark.parametrize(
    ("name", "compression"),
    [("x.zip", zipfile.ZIP_LZMA), ("x.zip", zipfile.ZIP_BZIP2), ("x.tar.xz", "w:xz"),
     ("x.tar.bz2", "w:bz2"), ("x.tar.gz", "w:gz")],
)  # fmt: skip
@pytest.mark.parametrize("seed", range(3))
def test_damage_is_a_message_wherever_it_falls(tmp_path, name, compression, seed):
    rng = np.random.default_rng(seed)
    body = rng.bytes(3000)
    if name == "x.zip":
        members = [(f"a/{n}.jpg", body, 0o644) for n in range(3)]
        archive = zipped(tmp_path / name, *members, compression=compression)
    else:
        archive = tar(tmp_path / name, *((f"a/{n}.jpg", body) for n in range(3)), mode=compression)
    whole, said = archive.read_bytes(), []
    for number in range(60):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), rng.integers(1, 5)):
            data[at] = rng.integers(256)
        archive.write_bytes(data[: rng.integers(1, len(data))] if number % 2 else data)
        try:
            unpack(archive, tmp_path / str(number))
        except DataError as error:
            said.append(str(error))
    assert "\n" not in "".join(said)
    assert 0 < max(map(len, said)) < 600


@pytest.mark.parametrize("seed", range(3))
def test_damaged_headers_of_a_tar_are_a_message(tmp_path, seed):
    rng = np.random.default_rng(seed)
    archive = tar(tmp_path / "x.tar", *((f"a/{n}.jpg", bytes(600)) for n in range(5)), mode="w")
    whole = archive.read_bytes()
    for number in range(150):
        data = bytearray(whole)
        block = 1536 * int(rng.integers(5))
        for at in rng.integers(0, 512, rng.integers(1, 4)):
            data[block + at] = rng.choice([0, 48, 55, 76, 120, 128, 255, int(rng.integers(256))])
        total = 256 + sum(data[block : block + 148]) + sum(data[block + 156 : block + 512])
        data[block + 148 : block + 156] = b"%06o\0 " % total
        archive.write_bytes(data)
        with suppress(DataError):
            unpack(archive, tmp_path / str(number))


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
