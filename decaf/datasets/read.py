"""The bytes of pictures: from a folder, or from any file system that fsspec knows."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from decaf.errors import ConfigError, DataError, DecafError
from decaf.types import ImageDataset


def read_bytes(dataset: ImageDataset, row: int) -> bytes:
    """Return the whole file of a row's picture; may be called from many threads.

    Parameters
    ----------
    dataset : ImageDataset
        A table.
    row : int
        Its row.

    Returns
    -------
    bytes
        The encoded picture.

    Raises
    ------
    OSError
        The file is gone or cannot be read.
    """
    image_id = dataset.image_ids[row]
    if dataset.source is None:
        return (dataset.root / image_id).read_bytes()
    return dataset.source.read(image_id)


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
    from fsspec.implementations.local import LocalFileSystem  # noqa: PLC0415

    with url_errors(url):
        if "://" not in url:  # a path, in which `::` means nothing
            return LocalFileSystem(), os.path.abspath(url).rstrip("/")  # noqa: PTH100
        try:
            fs, path = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ConfigError(
                f"asked for pictures at {url}, found no way there: {error}"
            ) from error
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
        raise DataError(
            f"asked for pictures at {url}, found {type(error).__name__}: {error}; check the "
            "address and the right to read it"
        ) from error


def read_part(fs: Any, path: str, start: int | None = None, end: int | None = None) -> bytes:
    """Return the bytes of a file from `start` to `end`; see `read_bytes`.

    Raises
    ------
    OSError
        Whatever the file system raised.
    """
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
