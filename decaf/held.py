"""Folders that one run works in at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decaf.errors import DataError
from decaf.progress import log
from decaf.whole_files import lock


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Make a folder and keep other runs out of it; wait for one that is in there.

    Only runs that ask here are kept out, and none where the file system has no locks. A process
    that is killed lets go of its folder.

    Raises
    ------
    DataError
        If it cannot be made.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            why = error.strerror or error
            raise DataError(
                f"asked to work in {folder}, found: {why}; give another path"
            ) from error
        with _opened(folder) as fd:
            if fd is None:
                continue
            if lock(fd) is False:
                log(f"another run works in {folder}; waiting until it ends")
                fcntl.flock(fd, fcntl.LOCK_EX)
            if _is(fd, folder):
                yield
                return


def remove_free(folder: Path) -> None:
    """Remove a folder, unless another run holds it; that one will."""
    with _opened(folder) as fd:
        if fd is not None and lock(fd) is not False:
            shutil.rmtree(folder, ignore_errors=True)


def free_folders(parent: Path, pattern: str) -> list[Path]:
    """Return the folders that no run holds: those of runs that were stopped.

    Parameters
    ----------
    parent : pathlib.Path
        Where they are.
    pattern : str
        Of their names.
    """
    found = []
    for folder in sorted(parent.glob(pattern)):
        with _opened(folder) as fd:
            if fd is not None and lock(fd):
                found.append(folder)
    return found


@contextmanager
def _opened(folder: Path) -> Iterator[int | None]:
    """Yield an open folder; None if another process has just removed it."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        yield None
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _is(fd: int, folder: Path) -> bool:
    """Whether an open folder still stands at its path."""
    try:
        return os.path.samestat(os.fstat(fd), folder.stat())
    except FileNotFoundError:
        return False
