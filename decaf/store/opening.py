"""Opening a store for reading: its header is checked, and its rows are read where they lie."""

import fcntl
import os
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import StoreError
from decaf.store.damage import damaged, read_errors
from decaf.store.header import Column, Header, is_of_rows, read_block


@dataclass(frozen=True)
class Shard:
    """One of the files that a joined store shows as one."""

    start: int
    stop: int
    path: Path
    columns: dict[str, Column]


class StoreFile:
    """An open store, read-only; rows may be read from many threads.

    Parameters
    ----------
    path : pathlib.Path
        The store.
    locking : bool
        Whether a store that is being written is refused.

    Attributes
    ----------
    path : pathlib.Path
        The store.
    header : Header
        What its first block says.
    shards : tuple of Shard
        What a joined store is made of; empty for one that holds its rows itself.

    Raises
    ------
    StoreError
        If there is none, it is damaged or cannot be read, it is not a store of a schema known
        here, a shard of it is gone, or it is being written.
    """

    def __init__(self, path: Path, *, locking: bool = True) -> None:
        self.path = path
        self._fd = _open(path)
        try:
            if locking:
                _lock_shared(path, self._fd)
            with read_errors(path):
                self.header = read_block(path, self._fd)
            self.shards = tuple(_shards(path, self.header))
            first = self.shards[0].columns if self.shards else {}
            n_rows = self.header.provenance.n_rows
            rows = {n: replace(c, shape=(n_rows, *c.shape[1:])) for n, c in first.items()}
            self.columns: dict[str, Column] = {**rows, **self.header.columns}
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "StoreFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def read(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return rows of a dataset, as they lie in the file.

        Parameters
        ----------
        name : str
            One of `columns`.
        start, stop : int
            First row and end; all rows if not given.

        Raises
        ------
        StoreError
            If the store was closed, or the rows cannot be read.
        """
        column = self.columns[name]
        stop = column.shape[0] if stop is None else stop
        out = np.empty((stop - start, *column.shape[1:]), column.dtype)
        self.read_into(out, name, start)
        return out

    def read_into(self, out: npt.NDArray[Any], name: str, start: int) -> None:
        """Read rows from `start` on into a C-contiguous array of their shape and dtype.

        Raises
        ------
        StoreError
            If the store was closed, or the rows cannot be read.
        """
        if self._fd < 0:
            raise StoreError(
                f"asked to read the store {self.path}, found that it was closed; read it within "
                "its `with` block, or open it again"
            )
        if not self.shards or not is_of_rows(name):
            _read_rows(self.path, self._fd, self.columns[name], out, start)
            return
        for shard in self.shards:
            first, last = max(start, shard.start), min(start + len(out), shard.stop)
            if first < last:
                fd = _open(shard.path)
                try:
                    rows = out[first - start : last - start]
                    _read_rows(shard.path, fd, shard.columns[name], rows, first - shard.start)
                finally:
                    os.close(fd)


def _read_rows(path: Path, fd: int, column: Column, out: npt.NDArray[Any], start: int) -> None:
    buffer = out.reshape(-1).view("u1").data if out.size else memoryview(b"")
    at = column.offset + start * column.row_bytes
    with read_errors(path):
        while buffer:
            n_read = os.preadv(fd, [buffer], at)
            if not n_read:
                raise damaged(path, "that it was cut short while it was open")
            buffer, at = buffer[n_read:], at + n_read


def _open(path: Path) -> int:
    with read_errors(path):
        try:
            regular = path.stat() and path.is_file()
        except (FileNotFoundError, NotADirectoryError):
            regular = False
        if not regular:
            raise StoreError(
                f"asked to read the store {path}, found no such file; extract it first"
            )
        return os.open(path, os.O_RDONLY)


def _lock_shared(path: Path, fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(
            f"asked to read the store {path}, found it being written; wait for the writer"
        ) from error
    except OSError:
        return  # a file system without locks


def read_header(path: Path) -> Header:
    """Return what a store's first block says, without a lock and without its shards.

    Raises
    ------
    StoreError
        As of `StoreFile`.
    """
    fd = _open(path)
    try:
        with read_errors(path):
            return read_block(path, fd)
    finally:
        os.close(fd)


def _shards(path: Path, header: Header) -> list[Shard]:
    """Return the shards of a joined store, each of them the one that was joined."""
    found: list[Shard] = []
    end = 0
    for start, stop, name in header.shards:
        if start != end or PurePosixPath(name).is_absolute() or "\0" in name:
            raise damaged(path, f"a shard {name!r} of the rows from {start} to {stop}")
        found.append(_shard(path, header, start, stop, path.parent / name))
        end = stop
    if header.shards and end != header.provenance.n_images:
        raise damaged(path, f"shards of {end} rows where there are {header.provenance.n_images}")
    if len({_row_types(shard) for shard in found}) > 1:
        raise damaged(path, "shards whose rows are of different shapes")
    return found


def _shard(path: Path, header: Header, start: int, stop: int, shard: Path) -> Shard:
    if not shard.is_file():
        raise StoreError(
            f"asked to read the store {path}, found that its shard {shard} is gone; put it "
            "back, or join again"
        )
    found = read_header(shard)
    expected = replace(header.provenance, rows=(start, stop)).digest()
    if found.shards or found.provenance.digest() != expected:
        raise StoreError(
            f"asked to read the store {path}, found another shard at {shard} than the one "
            "that was joined; put that one back, or join again"
        )
    return Shard(start, stop, shard, found.row_columns)


def _row_types(shard: Shard) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
    return tuple(sorted((n, c.dtype.str, c.shape[1:]) for n, c in shard.columns.items()))
