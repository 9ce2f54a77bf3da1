"""Features as heads take them: checked, in memory or read in blocks from a store.

The messages are scikit-learn's own kind, a ValueError, as its users and tools expect.
"""

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from decaf.heads.designs import blocks
from decaf.types import FloatArray, IntArray

SMALLEST_SIZE = 1e-18
"""Features below are as good as 0: weights for them, or their squares, would not be finite."""


def checked_features(
    estimator: BaseEstimator, X: Any, *, reset: bool, memory_share: float, **check: Any
) -> Any:
    """Return features as an array, or as they are where they would not fit in memory.

    Parameters
    ----------
    estimator : sklearn.base.BaseEstimator
        Whose number of features is set or compared.
    X : array-like
        ``(n_images, n_features)``; anything that slices by rows may be larger than memory.
    reset : bool
        Whether this is training.
    memory_share : float
        Share of the machine's memory that `X` may take before it is read in blocks.
    **check : Any
        Further arguments of scikit-learn's `validate_data`.

    Returns
    -------
    numpy.ndarray or array-like
        ``(n_images, n_features)`` float32 or float64, or `X` itself.

    Raises
    ------
    ValueError
        If rows are not finite (a store's rows that are not done read as NaN) or too large, or of
        another number of features.
    """
    if is_larger_than(X, memory_share):
        validate_data(estimator, np.zeros((1, X.shape[1]), np.float32), reset=reset)
    else:
        if not hasattr(X, "iloc") and getattr(X, "dtype", None) == np.float16:
            X = np.asarray(X, np.float32)
        X = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=(np.float64, np.float32),
            ensure_all_finite=False,
            order="C",
            **check,
        )
    check_finite(X)
    return X


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
    return float(np.prod(X.shape)) * compute_dtype(X).itemsize > memory_share * memory_bytes()


def memory_bytes() -> int:
    """Return the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def compute_dtype(X: Any) -> torch.dtype:
    """Return float64 for float64 features, float32 for all others."""
    return torch.float64 if X.dtype == np.float64 else torch.float32


class UnusableRowsError(ValueError):
    """Features that no head can take.

    Attributes
    ----------
    rows : numpy.ndarray
        Numbers of their rows.
    """

    def __init__(self, rows: IntArray, found: str) -> None:
        self.rows, self.found = rows, found
        super().__init__(
            f"Input X contains {found} in {len(rows)} rows ({_listed(rows)}); "
            f"leave these rows out, or extract them again"
        )


def largest_norm(dtype: torch.dtype) -> float:
    """Return the longest row of features that heads take: squares of products stay finite."""
    return math.sqrt(math.sqrt(torch.finfo(dtype).max))


def check_finite(X: Any) -> None:
    """Raise where features are NaN, infinite or too large to compute with, naming the rows."""
    bad, n_infinite = [np.empty(0, np.intp)], 0
    dtype = compute_dtype(X)
    for rows, block in blocks(X, torch.device("cpu"), dtype):
        suspect = torch.nonzero(~(torch.linalg.vector_norm(block, dim=1) <= largest_norm(dtype)))
        bad.append(suspect[:, 0].numpy() + rows.start)
        n_infinite += int((~torch.isfinite(block[suspect[:, 0]]).all(1)).sum())
    found = np.concatenate(bad)
    if len(found):
        large = f"values too large to compute with (a norm above {largest_norm(dtype):.1g})"
        raise UnusableRowsError(found, "NaN or infinity" if n_infinite else large)


def _listed(rows: IntArray) -> str:
    more = ", ..." if len(rows) > 8 else ""
    return "rows " + ", ".join(map(str, rows[:8])) + more
