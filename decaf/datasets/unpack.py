"""Unpacking archives of unknown making: nothing lands outside, nothing grows without bound.

Each path that is written is decided here, not by the libraries that read archives: no link is
ever made, so that none can lead outside.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from decaf.datasets.tar_reader import MAX_PATH_BYTES, Readable, TarReader, link_target
from decaf.errors import DataError, DecafError

MAX_FILES = 2_000_000
"""Most entries of an archive."""

MAX_GROWTH = 20
"""An archive unpacks to at most so many times its own size: images hardly shrink when packed."""

EXTRA_BYTES = 2**26
"""What an archive may unpack to besides: lists shrink much."""

MAX_NAME_BYTES = 255
"""Longest name of a file or folder in an archive."""

MAX_DEPTH = 64
"""Most folders within each other in an archive."""

_CHUNK_BYTES = 2**20
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x5d\0\0": lzma.open,
}


def unpack(archive: Path, into: Path) -> None:
    """Unpack a zip or tar file, or copy a file that is neither.

    Parameters
    ----------
    archive : pathlib.Path
        A regular file; what it is shows in its contents.
    into : pathlib.Path
        Folder to unpack into, made if need be.

    Raises
    ------
    DataError
        The archive is damaged, or holds what has no place in a data set: paths that escape,
        links to what is not unpacked before them, device files, or far more bytes than its size
        lets expect.
    """
    limit_bytes = most_bytes(archive.stat().st_size)
    with _archive_errors(archive.name):
        into.mkdir(parents=True, exist_ok=True)
        with archive.open("rb") as stream:
            if stream.read(4) in (b"PK\3\4", b"PK\5\6"):
                _unpack_zip(stream, _Target(into, archive.name, limit_bytes))
                return
            stream.seek(0)
            if _is_tar(_decompressed(stream)):
                stream.seek(0)
                unpack_tar(stream, into, archive.name, limit_bytes)
                return
            stream.seek(0)
            target = _Target(into, archive.name, limit_bytes)
            target.write(archive.name, iter(lambda: stream.read(_CHUNK_BYTES), b""))


def most_bytes(archive_bytes: int) -> int:
    """Return how many bytes an archive may unpack to.

    Returns
    -------
    int
        `MAX_GROWTH` times as much, and `EXTRA_BYTES`.
    """
    return MAX_GROWTH * archive_bytes + EXTRA_BYTES


def unpack_tar(stream: Readable, into: Path, name: str, limit_bytes: int) -> None:
    """Unpack a tar file, compressed or not, in one pass without seeking.

    Hard and symbolic links to files that come before them are written as copies.

    Parameters
    ----------
    stream : Readable
        The archive from its start.
    into : pathlib.Path
        An existing folder.
    name : str
        What to call the archive in a message.
    limit_bytes : int
        Most bytes to write, and to read unpacked.

    Raises
    ------
    DataError
        As `unpack`.
    """
    target = _Target(into, name, limit_bytes)
    with _archive_errors(name):
        tar = TarReader(_decompressed(stream), name, limit_bytes)
        for entry in tar:
            target.expect(entry.size if entry.isreg() else 0)
            if entry.isdir():
                target.folder(entry.name)
            elif entry.islnk() or entry.issym():
                target.copy(link_target(entry), entry.name)
            elif entry.isreg() and not entry.issparse():
                target.write(entry.name, tar.content(entry))
            else:
                raise _dangerous(name, f"{entry.name[:80]!r} is a device or sparse file")


class _Target:
    """The folder that an archive is unpacked into."""

    def __init__(self, into: Path, archive: str, limit_bytes: int) -> None:
        self._into, self.archive, self._limit_bytes = into, archive, limit_bytes
        self._root = os.path.realpath(into)
        self._n_files = self._n_bytes = 0

    def expect(self, n_bytes: int) -> None:
        """Count an entry and its bytes, and refuse what is too much."""
        self._n_files += 1
        self._n_bytes += n_bytes
        if self._n_bytes > self._limit_bytes or self._n_files > MAX_FILES:
            raise _dangerous(
                self.archive,
                f"{self._n_files} files of {self._n_bytes} bytes so far, at most {MAX_FILES} of "
                f"{self._limit_bytes} bytes are expected",
            )

    def folder(self, name: str) -> None:
        """Make a folder and those above it."""
        self._path(f"{name}/.").mkdir(parents=True, exist_ok=True)

    def write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write a file; one of that name that the archive held before is replaced."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with os.fdopen(fd, "wb") as file:
            file.writelines(chunks)

    def copy(self, source: str, name: str) -> None:
        """Write what a link leads to, which must be a file that was unpacked."""
        path = self._path(source)
        if not path.is_file() or path == self._path(name):
            raise _dangerous(
                self.archive,
                f"{name[:80]!r} is a link to {source[:80]!r}, which is no file before it",
            )
        self.expect(path.stat().st_size)
        with path.open("rb") as file:
            self.write(name, iter(lambda: file.read(_CHUNK_BYTES), b""))

    def _path(self, name: str) -> Path:
        """Return where an entry is written, its folder being where its name says."""
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or "\0" in name:
            raise _dangerous(self.archive, f"{name[:80]!r} would be written outside of the folder")
        sizes = [len(os.fsencode(part)) for part in inside.parts]
        if (
            max(sizes, default=0) > MAX_NAME_BYTES
            or sum(sizes) + len(sizes) > MAX_PATH_BYTES
            or len(sizes) > MAX_DEPTH
        ):
            raise _dangerous(self.archive, f"the name {name[:80]!r} is too long or too deep")
        path = self._into / inside
        folder = str(PurePosixPath(self._root, inside).parent)
        if inside.parts and os.path.realpath(path.parent) != folder:
            raise _dangerous(self.archive, f"{name[:80]!r} would be written outside of the folder")
        return path


def _unpack_zip(stream: IO[bytes], target: _Target) -> None:
    with zipfile.ZipFile(stream) as packed:
        for member in packed.infolist():
            target.expect(member.file_size)  # zipfile reads no more than this of a member
            name = member.filename.replace("\\", "/")  # some programs on Windows write those
            _check_member(target.archive, name, member)
            if name.endswith("/"):
                target.folder(name)
                continue
            with packed.open(member) as file:
                target.write(name, iter(lambda: file.read(_CHUNK_BYTES), b""))


def _check_member(archive: str, name: str, member: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _dangerous(archive, f"{name[:80]!r} is a link or a device file")
    if re.match("[A-Za-z]:", name):
        raise _dangerous(archive, f"{name[:80]!r} would be written outside of the folder")


class _Raw(io.RawIOBase):
    """A stream as the libraries for compressed files want it."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _decompressed(stream: Readable) -> IO[bytes]:
    buffered = io.BufferedReader(_Raw(stream), _CHUNK_BYTES)
    start = buffered.peek(8)
    for magic, opener in _OPENERS.items():
        if start.startswith(magic):
            return cast("IO[bytes]", opener(buffered, "rb"))
    return buffered


def _is_tar(stream: IO[bytes]) -> bool:
    try:
        tarfile.TarInfo.frombuf(stream.read(tarfile.BLOCKSIZE), "utf-8", "replace")
    except tarfile.TarError:
        return False
    return True


@contextmanager
def _archive_errors(name: str) -> Iterator[None]:
    """Turn whatever the libraries raise into one error."""
    try:
        yield
    except DecafError:
        raise
    except Exception as error:  # each library has errors of its own
        raise DataError(
            f"cannot unpack {name}: {str(error)[:200] or type(error).__name__}; fetch it again, "
            "or free disk space"
        ) from error


def _dangerous(name: str, what: str) -> DataError:
    return DataError(f"refused to unpack {name}: {what}; get it from its official source")
