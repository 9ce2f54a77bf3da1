"""The bytes and pixels of images: from a folder, or from any file system that fsspec knows.

`read_image` is the one way from a file to pixels; extraction alone takes its two halves,
`read_bytes` and `decode`, for it keeps a digest of the bytes.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from decaf.errors import ConfigError, DataError, DecafError
from decaf.types import ImageDataset, ImageSource

if TYPE_CHECKING:  # torch takes seconds to import; `decaf datasets` must not pay for it
    import torch

    from decaf.choices import Decoder

MAX_FILE_BYTES = 512 * 2**20
"""Larger files are not read: more than the largest image takes in 16 bits, uncompressed."""

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a folder",
}
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")


@dataclass(frozen=True)
class ImageFiles:
    """Where images lie: below a folder, or elsewhere.

    Attributes
    ----------
    root : pathlib.Path
        Folder that their ids are relative to.
    source : ImageSource or None
        What reads them; None where they are files below `root`.
    """

    root: Path = Path()
    source: ImageSource | None = None

    def read(self, image_id: str) -> bytes:
        """Return the whole file of an image; an OSError says why it cannot be read."""
        if self.source is not None:
            return self.source.read(image_id)
        return read_file(self.root / image_id)


def read_bytes(dataset: ImageDataset, row: int) -> bytes:
    """Return the whole file of a row's image; may be called from many threads.

    Raises
    ------
    OSError
        The file is gone, is no regular file, is larger than `MAX_FILE_BYTES` or cannot be read.
    """
    if dataset.source is not None:
        _check_bytes(int(dataset.sizes_bytes[row]), dataset.image_ids[row])
    return ImageFiles(dataset.root, dataset.source).read(dataset.image_ids[row])


def read_image(files: ImageFiles, image_id: str, decoder: "Decoder" = "auto") -> "torch.Tensor":
    """Return the pixels of an image by decaf's pixel policy; may be called from many threads.

    Parameters
    ----------
    files : ImageFiles
        Where it lies.
    image_id : str
        Which one.
    decoder : {"auto", "pillow", "gpu"}
        Who decodes; see `decaf.images.decode.decode`.

    Returns
    -------
    torch.Tensor
        ``(3, H, W)`` uint8, RGB, upright; laid out channels last.

    Raises
    ------
    DataError
        It cannot be read or decoded; the message is a reason of one line.
    """
    from decaf.images.decode import decode  # noqa: PLC0415 - loads torch

    try:
        data = files.read(image_id)
    except OSError as error:
        raise DataError(error.strerror or str(error)) from error
    return decode(data, decoder)


def read_file(path: Path) -> bytes:
    """Return the bytes of a regular file of at most `MAX_FILE_BYTES`.

    Raises
    ------
    OSError
        There is no such file, it is of another kind or too large, or it cannot be read.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1)
    if len(data) != size:
        raise OSError(errno.EIO, f"found {len(data)} bytes in a file of {size}", str(path))
    return data


@contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file of at most `MAX_FILE_BYTES`; no other kind of file is waited for.

    Raises
    ------
    OSError
        As of `read_file`.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError as error:
        raise FileNotFoundError(error.errno, _not_there(path), str(path)) from error
    except ValueError as error:  # a zero byte, or a character that no name can have
        raise OSError(errno.EINVAL, f"no file can have this name: {error}", repr(path)) from error
    try:
        _check_kind(os.fstat(fd), str(path))
    except OSError:
        os.close(fd)
        raise
    with open(fd, "rb") as file:  # noqa: PTH123 - of a descriptor
        yield file


def _check_kind(found: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "of another kind")
        raise OSError(errno.EINVAL, f"not a regular file but {kind}", path)
    _check_bytes(found.st_size, path)


def _check_bytes(size: int, path: str) -> None:
    if size > MAX_FILE_BYTES:
        why = f"too large: {size} bytes, at most {MAX_FILE_BYTES} are read"
        raise OSError(errno.EFBIG, why, path)


def _not_there(path: Path) -> str:
    """Say why a file is not there: its true name may be one that a table can only hold escaped."""
    true = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), os.fsencode(path))
    if true != os.fsencode(path) and os.path.lexists(true):
        return "the name of the file is not UTF-8; rename it"
    return os.strerror(errno.ENOENT)


def open_url(url: str) -> tuple[Any, str]:
    """Return the file system of a URL or local path, and the path in it.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/folder``, ``gs://``, ``hdfs://``, ``memory://``, or a path.

    Returns
    -------
    fsspec.AbstractFileSystem
        Safe to use from many threads, and to send to other processes.
    str
        The path, without a slash at its end.

    Raises
    ------
    ConfigError
        The kind of URL is unknown, or its file system is not installed.
    DataError
        The file system refuses.
    """
    from fsspec.core import url_to_fs  # noqa: PLC0415 - its file systems load much
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415 - it loads much

    with url_errors(url):
        if "://" not in url:  # a path, in which `::` means nothing
            return LocalFileSystem(), os.path.abspath(url).rstrip("/")  # noqa: PTH100 - a Path resolves links
        try:
            fs, path = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"asked for images at {url}, found no way there: {error}") from error
    return fs, str(path).rstrip("/")


@contextmanager
def url_errors(url: str) -> Iterator[None]:
    """Turn a file system's errors into decaf's.

    Raises
    ------
    DataError
        Of whatever the file system raised.
    """
    try:
        yield
    except DecafError:
        raise
    except Exception as error:  # each file system has errors of its own
        missing = isinstance(error, FileNotFoundError)
        found = "no such file" if missing else f"{type(error).__name__}: {error}"
        raise DataError(
            f"asked for images at {url}, found {found}; check the address and the right to read it"
        ) from error


def read_part(fs: Any, path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Return the bytes of a file from `start` to `end`; see `read_bytes`.

    Raises
    ------
    OSError
        Whatever the file system raised.
    """
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415 - as in `open_url`

    if start is not None and end is not None:
        _check_bytes(end - start, path)
    elif isinstance(fs, LocalFileSystem):
        return read_file(Path(path))
    try:
        data: bytes = fs.cat_file(path, start=start, end=end)
    except FileNotFoundError as error:  # some say no more than the path
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from error
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
    if start is not None and end is not None and len(data) != end - start:
        raise OSError(f"{path} is cut short: found {len(data)} of {end - start} bytes")
    return data
