"""Features as heads take them: checked, in memory or read in blocks from a store.

The messages are scikit-learn's own kind, a ValueError, as its users and tools expect.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor

from decaf.types import FloatArray, IntArray

BLOCK_ROWS = 512  # what is worked on at once where rows must be copied
BLOCK_BYTES = 1 << 28  # what a streamed block of rows may take
SMALLEST_SIZE = 1e-18
"""Features below are as good as 0: weights for them, or their squares, would not be finite."""


def checked_features(estimator: BaseEstimator, X: Any, *, reset: bool) -> Any:
    """Return features as an array, or as they are where they would not fit in memory.

    Parameters
    ----------
    estimator : sklearn.base.BaseEstimator
        Whose number of features is set or compared; features that take more than its
        `memory_share` of the machine's memory are read in blocks.
    X : array-like
        ``(n_images, n_features)``; anything that slices by rows may be larger than memory.
    reset : bool
        Whether this is training.

    Returns
    -------
    numpy.ndarray or array-like
        ``(n_images, n_features)`` float32 or float64, or `X` itself; what float32 cannot compute
        with is float64.

    Raises
    ------
    ValueError
        If rows are not finite (a store's rows that are not done read as NaN) or too large, or of
        another number of features.
    """
    if is_larger_than(X, estimator.memory_share):
        validate_data(estimator, np.zeros((1, X.shape[1]), np.float32), reset=reset)
        return _usable(X)
    if not hasattr(X, "iloc") and getattr(X, "dtype", None) == np.float16:
        X = np.asarray(X, np.float32)
    kinds = (np.float64, np.float32)
    X = validate_data(estimator, X, reset=reset, dtype=kinds, ensure_all_finite=False, order="C")
    return _usable(X)


def checked_rows(head: Any, X: Any, y: Any) -> tuple[Any, Any]:
    """Return checked training features and labels of a head, whose number of features is set.

    Raises
    ------
    ValueError
        If they cannot be used or differ in length.
    """
    if y is None:
        raise ValueError(
            f"requires y to be passed, but the target y is None; {type(head).__name__} needs labels"
        )
    X = checked_features(head, X, reset=True)
    y = np.asarray(y)
    if y.ndim != 2 or y.shape[1] == 1:
        y = column_or_1d(y, warn=True)
    if len(y) != X.shape[0]:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {[X.shape[0], len(y)]}; "
            f"give one label a row"
        )
    return X, y


def check_positive(**values: float) -> None:
    """Raise where an argument is not a positive finite number."""
    for name, value in values.items():
        number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not (number and value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} must be a positive number; got {name}={value!r}")


@dataclass(frozen=True, eq=False)
class RowsOf:
    """Some rows of features that are too large to copy, read when they are asked for."""

    X: Any
    rows: IntArray

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_rows, n_features)``."""
        return len(self.rows), self.X.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the features."""
        dtype: np.dtype[Any] = self.X.dtype
        return dtype

    def __getitem__(self, key: slice | IntArray) -> FloatArray:
        features: FloatArray = self.X[self.rows[key]]
        return features


def take_rows(X: Any, rows: IntArray, memory_share: float) -> Any:
    """Return some rows of features: a copy, or a view of what is larger than memory."""
    return RowsOf(X, rows) if is_larger_than(X, memory_share) else X[rows]


def is_larger_than(X: Any, memory_share: float) -> bool:
    """Return whether a sliceable `X` that is not in memory takes more than a share of it."""
    if isinstance(X, np.ndarray) and not isinstance(X, np.memmap):
        return False
    if not (hasattr(X, "dtype") and hasattr(X, "__getitem__")) or len(getattr(X, "shape", ())) != 2:
        return False
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return float(np.prod(X.shape)) * compute_dtype(X).itemsize > memory_share * memory_bytes


def compute_dtype(X: Any) -> torch.dtype:
    """Return float64 for float64 features, float32 for all others."""
    return torch.float64 if X.dtype == np.float64 else torch.float32


def blocks(X: Any, device: torch.device, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of rows, each with its features as a tensor; one slice for a tensor."""
    if isinstance(X, Tensor):
        yield slice(0, X.shape[0]), X
        return
    n, d = X.shape
    step = max(1, BLOCK_BYTES // (d * dtype.itemsize))
    for start in range(0, n, step):
        rows = slice(start, min(n, start + step))
        yield rows, torch.as_tensor(X[rows]).to(device, dtype)


def placed(X: Any, device: torch.device) -> Any:
    """Return an array as a tensor on a device, and what is read from elsewhere as it is."""
    return torch.as_tensor(X).to(device, compute_dtype(X)) if type(X) is np.ndarray else X


def taken(X: Any, rows: Tensor) -> Tensor:
    """Return some rows of what :func:`placed` gave, on the device of their numbers."""
    if isinstance(X, Tensor):
        return X[rows]
    return torch.as_tensor(X[rows.cpu().numpy()]).to(rows.device, compute_dtype(X))


class UnusableRowsError(ValueError):
    """Features that no head can take, with the numbers of their rows."""

    def __init__(self, rows: IntArray, found: str) -> None:
        self.rows, self.found = rows, found
        listed = ", ".join(map(str, rows[:8])) + (", ..." if len(rows) > 8 else "")
        super().__init__(
            f"Input X contains {found} in {len(rows)} rows (rows {listed}); "
            f"leave these rows out, or extract them again"
        )


def _usable(X: Any) -> Any:
    """Return features that can be computed with; raise for others, naming the rows."""
    dtype = compute_dtype(X)
    # the longest row that heads take in a precision: squares of products stay finite
    longest = torch.finfo(dtype).max ** 0.25
    bad, n_infinite = [np.empty(0, np.intp)], 0
    for rows, block in blocks(X, torch.device("cpu"), dtype):
        suspect = torch.nonzero(~(torch.linalg.vector_norm(block, dim=1) <= longest))
        bad.append(suspect[:, 0].numpy() + rows.start)
        n_infinite += int((~torch.isfinite(block[suspect[:, 0]]).all(1)).sum())
    found = np.concatenate(bad)
    if not len(found):
        return X
    if not n_infinite and isinstance(X, np.ndarray) and X.dtype == np.float32:
        return X.astype(np.float64)
    large = f"values too large to compute with (a norm above {longest:.1g})"
    raise UnusableRowsError(found, "NaN or infinity" if n_infinite else large)
