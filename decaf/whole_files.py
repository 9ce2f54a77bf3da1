"""Files that are whole or not there: the one way in which decaf writes them."""

import errno
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from decaf.errors import ConfigError, DataError

_BEGIN, _END = ".decaf-", ".part"
_ABANDONED_S = 24 * 3600
"""Where the file system has no locks, what is older than this has no writer any more."""

_ADVICE = {
    errno.ENOSPC: "make space there, or give another path",
    errno.EDQUOT: "make space there, or give another path",
    errno.EACCES: "give a path that you may write",
    errno.EPERM: "give a path that you may write",
    errno.EROFS: "give a path that you may write",
    errno.ENAMETOOLONG: "give a shorter name",
}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a path to write; the file there takes the place of `path` when the block ends.

    If the block raises, or the process is killed, what was at `path` stays. What a killed process
    left in the folder is removed.

    Parameters
    ----------
    path : pathlib.Path
        The file; its folder is made. Of a link the file that it leads to is replaced.

    Yields
    ------
    pathlib.Path
        A path of the same name in a hidden folder beside it, which no other process writes.

    Raises
    ------
    DataError
        If it cannot be written: the message says why and what to do.
    """
    with _write_errors(path):
        target = _target(path)
        with _scratch(target.parent) as folder:
            part = folder / target.name
            part.touch()
            mode = stat.S_IMODE(part.stat().st_mode)
            yield part
            part.chmod(mode)  # some libraries write files that only their owner may read
            sync(part)
            part.replace(target)
        sync(target.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it takes the place of `path` when the block ends.

    If the block raises, or the process is killed, nothing is at `path`, and what a killed process
    left beside it is removed, here or by `sweep`.

    Parameters
    ----------
    path : pathlib.Path
        The folder, which is not there or empty; the folder above it is made.

    Yields
    ------
    pathlib.Path
        A folder of the same name in a hidden folder beside it, which no other process writes.

    Raises
    ------
    DataError
        If it cannot be written: the message says why and what to do.
    """
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _scratch(path.parent) as folder:
            part = folder / path.name
            part.mkdir()
            yield part
            part.replace(path)
        sync(path.parent)


def write_whole(path: Path, text: str) -> None:
    """Write a text file as UTF-8, line ends as they are; see `whole_file`.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="")


@contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """Yield a file, made if it is not there, that no other process has open in this way.

    Parameters
    ----------
    path : pathlib.Path
        The file; it is open to read, and to write at its end.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            yield file


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file that other processes may add to; it is durable afterwards.

    What a killed process left of a line becomes a line of its own.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    with locked(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        whole = file.read(1) in {b"", b"\n"}
        file.write((b"" if whole else b"\n") + line + b"\n")
        file.flush()
        os.fsync(file.fileno())


def require_writable(*paths: Path) -> None:
    """Refuse, before work is done, paths that cannot be written after it; folders are made.

    Raises
    ------
    DataError
        If one cannot be written.
    """
    for path in paths:
        with _write_errors(path):
            target = _target(path)
            with _scratch(target.parent) as folder:
                (folder / target.name).touch()


def require_output(path: Path, *endings: str, inputs: Iterable[str | Path] = ()) -> None:
    """Refuse, before work is done, a path that cannot be written, or must not be.

    Parameters
    ----------
    path : pathlib.Path
        The file, there or not.
    *endings : str
        What its name may end in.
    inputs : iterable of str or pathlib.Path
        What is read and must stay: files, or anything else.

    Raises
    ------
    ConfigError
        If its name ends in something else, or it is one of `inputs`.
    DataError
        If it cannot be written.
    """
    if path.suffix.lower() not in endings or not path.stem:
        raise ConfigError(f"asked to write {path}; give a name that ends in {' or '.join(endings)}")
    for given in inputs:
        with suppress(OSError, ValueError):  # no file
            if path.samefile(given):
                raise ConfigError(
                    f"asked to write {path}, found that it is read as well; give another name"
                )
    require_writable(path)


def sync(path: Path) -> None:
    """Make what was written to a closed file, or a folder's list of names, durable.

    Raises
    ------
    OSError
        If it cannot be.
    """
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "give another path")
        raise DataError(
            f"asked to write {path}, found: {error.strerror or error}; {advice}"
        ) from error
    except ValueError as error:  # a name with a zero byte
        if "null" not in str(error):
            raise
        raise DataError(
            f"asked to write {str(path)!r}, found: {error}; correct the name"
        ) from error


def _target(path: Path) -> Path:
    """Return the regular file that is to be replaced or made, its folder made."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise FileExistsError(errno.EEXIST, "a folder or device of that name", str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    return target


@contextmanager
def _scratch(parent: Path) -> Iterator[Path]:
    """Yield a new folder, locked as long as this process lives, and remove it afterwards."""
    sweep(parent)
    folder, fd = _new_folder(parent)
    try:
        yield folder
    finally:
        os.close(fd)
        shutil.rmtree(folder, ignore_errors=True)


def _new_folder(parent: Path) -> tuple[Path, int]:
    """Return a new folder, open and locked; one that was swept before its lock is made again."""
    while True:
        folder = Path(tempfile.mkdtemp(_END, _BEGIN, parent))
        with suppress(FileNotFoundError):
            fd = os.open(folder, os.O_RDONLY)
            if lock(fd) is not False and folder.exists():
                return folder, fd
            os.close(fd)


def sweep(parent: Path) -> bool:
    """Remove what killed processes left in a folder; return whether there was anything."""
    found = False
    for folder in parent.glob(f"{_BEGIN}*{_END}"):
        try:
            fd = os.open(folder, os.O_RDONLY)
        except OSError:  # another process has just removed it
            continue
        try:
            old = time.time() - os.fstat(fd).st_mtime > _ABANDONED_S
            locked = lock(fd)
            if locked or (locked is None and old):
                shutil.rmtree(folder, ignore_errors=True)
                found = True
        finally:
            os.close(fd)
    return found


def lock(fd: int) -> bool | None:
    """Lock an open folder; return False if it is locked already, None where there are no locks."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
