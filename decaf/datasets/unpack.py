"""Unpacking archives of unknown making: nothing lands outside, nothing grows without bound."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, cast

from decaf.errors import DataError


class Readable(Protocol):
    """Where the bytes of an archive come from."""

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""


_MOST_FILES = 2_000_000
_UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)


def unpack(archive: Path, into: Path) -> None:
    """Unpack a zip or tar file, or copy a file that is neither.

    Parameters
    ----------
    archive : pathlib.Path
        The file; what it is shows in its contents.
    into : pathlib.Path
        Folder to unpack into, made if need be.

    Raises
    ------
    DataError
        The archive is damaged, or holds what has no place in a data set: paths that escape,
        links to elsewhere, device files, or far more bytes than its size lets expect.
    """
    into.mkdir(parents=True, exist_ok=True)
    limit_bytes = most_bytes(archive.stat().st_size)
    if zipfile.is_zipfile(archive):
        _unpack_zip(archive, into, limit_bytes)
    elif tarfile.is_tarfile(archive):
        with archive.open("rb") as stream:
            unpack_tar(stream, into, archive.name, limit_bytes)
    else:
        shutil.copyfile(archive, into / archive.name)


def most_bytes(archive_bytes: int) -> int:
    """Return how many bytes an archive may unpack to: pictures hardly shrink when packed.

    Parameters
    ----------
    archive_bytes : int
        Size of the archive.

    Returns
    -------
    int
        20 times as much, and 64 MiB for lists.
    """
    return 20 * archive_bytes + 2**26


def unpack_tar(stream: Readable, into: Path, name: str, limit_bytes: int) -> None:
    """Unpack a tar file, compressed or not, in one pass without seeking.

    Parameters
    ----------
    stream : Readable
        The archive from its start.
    into : pathlib.Path
        An existing folder.
    name : str
        What to call the archive in a message.
    limit_bytes : int
        Most bytes to write.

    Raises
    ------
    DataError
        As `unpack`.
    """
    total = 0
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|*") as tar:
            for count, member in enumerate(tar, start=1):
                total += member.size
                _check_growth(name, total, count, limit_bytes)
                tar.extract(member, into, filter="data")
    except tarfile.FilterError as error:
        raise _dangerous(name, str(error)) from error
    except _UNREADABLE as error:
        raise _damaged(name, error) from error


def _unpack_zip(archive: Path, into: Path, limit_bytes: int) -> None:
    total = 0
    try:
        with zipfile.ZipFile(archive) as packed:
            for count, member in enumerate(packed.infolist(), start=1):
                total += member.file_size  # zipfile reads no more than this of a member
                _check_growth(archive.name, total, count, limit_bytes)
                _check_member(archive.name, member)
                packed.extract(member, into)
    except _UNREADABLE as error:
        raise _damaged(archive.name, error) from error


def _check_member(name: str, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename:
        raise _dangerous(name, f"{member.filename!r} would be written outside of the folder")
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _dangerous(name, f"{member.filename!r} is a link or a device file")


def _check_growth(name: str, total_bytes: int, count: int, limit_bytes: int) -> None:
    if total_bytes > limit_bytes or count > _MOST_FILES:
        raise _dangerous(
            name,
            f"{count} files of {total_bytes} bytes so far, at most {_MOST_FILES} of "
            f"{limit_bytes} bytes are expected",
        )


def _dangerous(name: str, what: str) -> DataError:
    return DataError(f"refused to unpack {name}: {what}; get it from its official source")


def _damaged(name: str, error: Exception) -> DataError:
    return DataError(f"cannot unpack {name}: {error}; fetch it again, or free disk space")
