"""What the store asks of the file system: a lock, space, and bytes at an offset."""

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy.typing as npt

from decaf.errors import StoreError

_SYNC_BYTES = 16 * 2**20
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
_NO_RESERVATION = {errno.EINVAL, errno.EOPNOTSUPP}


def open_locked(path: Path, *, create: bool = False) -> int:
    """Open a file for reading and writing, and lock it against other writers.

    The lock goes with the process that holds it, and is not taken where the file system has none.

    Parameters
    ----------
    path : pathlib.Path
        File to open.
    create : bool
        Whether to make the file where there is none.

    Raises
    ------
    StoreError
        If another writer has the file.
    OSError
        If the file cannot be opened.
    """
    busy = f"asked to write {path}, found another process writing it; wait for it or stop it"
    try:
        fd = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o666)
    except FileNotFoundError as error:
        if not create and path.parent.is_dir():  # its writer has just finished it
            raise StoreError(busy) from error
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise StoreError(busy) from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(fd)
            raise
    # the writer before us may have renamed the file between our opening and our locking it
    if not _is_named(path, fd):
        os.close(fd)
        raise StoreError(busy)
    return fd


def _is_named(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def reserve(fd: int, n_bytes: int) -> None:
    """Reserve space on disk for the first `n_bytes` of a file, where the file system can.

    Raises
    ------
    OSError
        If there is no space.
    """
    if sys.platform != "linux":
        return
    try:
        os.posix_fallocate(fd, 0, n_bytes)
    except OSError as error:
        if error.errno not in _NO_RESERVATION:
            raise


def write_at(fd: int, array: npt.NDArray[Any], offset: int) -> None:
    """Write the bytes of a C-contiguous array at an offset, whole.

    Raises
    ------
    OSError
        If the bytes cannot be written.
    """
    data = array.reshape(-1).view("u1").data
    while data:
        n_written = os.pwrite(fd, data, offset)
        data, offset = data[n_written:], offset + n_written


class BackgroundSync:
    """Flushes a file to disk while it is being written, so that its end need not wait for all.

    Parameters
    ----------
    fd : int
        The file; it must stay open until `close`.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._n_unsynced = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-sync")
        self._running: Future[None] | None = None

    def wrote(self, n_bytes: int) -> None:
        """Note that bytes were written; start a flush now and then.

        Raises
        ------
        OSError
            If an earlier flush failed.
        """
        self._n_unsynced += n_bytes
        if self._n_unsynced >= _SYNC_BYTES and (self._running is None or self._running.done()):
            self.wait()
            self._n_unsynced = 0
            self._running = self._thread.submit(os.fsync, self._fd)

    def wait(self) -> None:
        """Wait for the flush that runs.

        Raises
        ------
        OSError
            If it failed.
        """
        if self._running is not None:
            self._running.result()

    def close(self) -> None:
        """Wait for the flush that runs, whether it fails or not, and end the thread."""
        self._thread.shutdown()


@contextmanager
def disk_errors(path: Path, n_bytes: int) -> Iterator[None]:
    """Turn an OSError into a StoreError that says the bytes needed and the bytes free."""
    try:
        yield
    except OSError as error:
        folder = path.parent
        if not folder.is_dir():
            raise StoreError(f"asked to write {path}, found no folder {folder}; make it") from error
        raise StoreError(
            f"asked to write {path} ({n_bytes} bytes needed), found: {error.strerror} "
            f"({shutil.disk_usage(folder).free} bytes free); make space, or write to another folder"
        ) from error


def require_space(path: Path, n_bytes: int) -> None:
    """Raise ENOSPC before anything is written where a file would not fit.

    Raises
    ------
    OSError
        If the disk has fewer than `n_bytes` free, or there is no such folder.
    """
    if shutil.disk_usage(path.parent).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
