"""One layer of a store, sliced like a numpy array and read as it is asked for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.store.checksums import BLOCK_BYTES
from decaf.types import FloatArray, IntArray

_GAP_BYTES = 2**16
"""Reading this much for nothing costs about as much as one more call."""


class StoredLayer:
    """Features of one layer, sliced like a numpy array and read as they are asked for.

    The first index is anything that numpy takes, row numbers out of order and masks included;
    further ones are integers, slices and ellipses. What comes back is a new array.

    Parameters
    ----------
    read : callable
        Takes a first row and an end, and returns those rows as a new array.
    shape : tuple of int
        Of all rows.
    dtype : numpy.dtype
        Of a value.
    """

    def __init__(
        self,
        read: Callable[[int, int], npt.NDArray[Any]],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        self._read = read
        self.shape = shape
        self.dtype = dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a stored layer cannot become an array without a copy; allow one")
        return self[:].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> FloatArray:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        if not all(part is Ellipsis or isinstance(part, int | np.integer | slice) for part in rest):
            raise IndexError(
                f"only the first index of a stored layer takes arrays, found {key!r}; "
                "index the array that comes back"
            )
        rows = np.arange(len(self))[first]  # numpy itself reads the key, and checks it
        found = self._take(rows.reshape(-1), tuple(rest))
        return found.reshape(rows.shape + found.shape[1:])

    def _take(self, rows: IntArray, rest: tuple[Any, ...]) -> FloatArray:
        """Read rows in the file's order, near ones in one piece of `BLOCK_BYTES` at most."""
        if len(rows) and not rest and (np.diff(rows) == 1).all():
            return self._read(int(rows[0]), int(rows[-1]) + 1)
        row = np.broadcast_to(np.empty((), self.dtype), self.shape[1:])
        row_bytes = row.size * row.itemsize
        out = np.empty((len(rows), *row[rest].shape), self.dtype)
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        far = np.diff(rows) * row_bytes > _GAP_BYTES
        far |= np.diff(rows // max(1, BLOCK_BYTES // row_bytes)) != 0
        for piece in np.split(np.arange(len(rows)), np.flatnonzero(far) + 1):
            if len(piece):
                start, stop = rows[piece[0]], rows[piece[-1]] + 1
                block = self._read(int(start), int(stop))[(slice(None), *rest)]
                out[order[piece]] = block[rows[piece] - start]
        return out
