"""Arrays of rows on disk that are computed once, and outlive a kill."""

import shutil
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import DataError
from decaf.types import IntArray


class Kept:
    """Values of places ``(row, column)`` in a file; beside it a file says which are there.

    Both are sparse: only what is written takes space. A place is marked after its value is on
    disk, so that a killed run leaves nothing half-written behind a mark.

    Parameters
    ----------
    path : pathlib.Path
        The values; the marks are in ``<path>.done``. Files of another size are made anew.
    n_rows, n_columns : int
        Number of places.
    """

    def __init__(self, path: Path, n_rows: int, n_columns: int) -> None:
        self._path, self._marks_path = path, path.with_name(path.name + ".done")
        self._places = (n_rows, n_columns)
        self._values: npt.NDArray[Any] | None = None
        self._marks: npt.NDArray[np.bool_] | None = None

    def missing(
        self, rows: IntArray, n_columns: int, shape: Sequence[int], dtype: npt.DTypeLike
    ) -> list[tuple[int, int]]:
        """Return the places of rows, in their order, whose values are not there.

        Parameters
        ----------
        rows : numpy.ndarray
            Row numbers.
        n_columns : int
            Of the first so many columns.
        shape, dtype : sequence of int, dtype
            Of a value.

        Raises
        ------
        DataError
            If the files cannot be made, or the disk may be too small.
        """
        marks = self._open(shape, np.dtype(dtype))
        found = np.argwhere(~marks[rows, :n_columns])
        return [(int(rows[number]), int(column)) for number, column in found]

    def put(self, places: Sequence[tuple[int, int]], values: npt.NDArray[Any]) -> None:
        """Write values, then mark them."""
        if self._values is None or self._marks is None:
            raise RuntimeError("asked to write before anything was missing")
        numbers = np.array(places)
        self._values[numbers[:, 0], numbers[:, 1]] = values
        self._values.flush()  # type: ignore[attr-defined] # a memory map
        self._marks[numbers[:, 0], numbers[:, 1]] = True

    def take(self, rows: IntArray, columns: IntArray) -> npt.NDArray[Any]:
        """Return the values of some places."""
        if self._values is None:
            raise RuntimeError("asked to read before anything was written")
        values: npt.NDArray[Any] = np.asarray(self._values[rows, columns])
        return values

    def _open(self, shape: Sequence[int], dtype: np.dtype[Any]) -> npt.NDArray[np.bool_]:
        if self._marks is not None:
            return self._marks
        whole = (*self._places, *shape)
        asked = f"asked for the file {self._path} of what frozen blocks give"
        todo = "free space there, choose fewer crops, or another folder"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            n_bytes, free = prod(whole) * dtype.itemsize, shutil.disk_usage(self._path.parent).free
            there = self._path.exists() and self._marks_path.exists()
            again = there and self._path.stat().st_size == n_bytes
            if n_bytes > free and not again:
                found = f"it may take {n_bytes / 2**30:.1f} GiB of {free / 2**30:.1f} free"
                raise DataError(f"{asked}: {found}; {todo}")
            if not again:  # never cut short: another run may have them open
                self._path.unlink(missing_ok=True)
                self._marks_path.unlink(missing_ok=True)
            mode: Any = "r+" if again else "w+"
            self._values = np.memmap(self._path, dtype, mode, shape=whole)
            marks = np.memmap(self._marks_path, np.bool_, mode, shape=self._places)
        except OSError as error:
            raise DataError(f"{asked}: {error}; {todo}") from error
        self._marks = marks
        return marks
