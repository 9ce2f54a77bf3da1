"""Spherical hashing: a bit says whether a row lies inside a ball.

References
----------
Heo, Lee, He, Chang and Yoon, Spherical hashing, CVPR 2012; steps and constants are those of the
authors' code.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from decaf.types import FloatArray, IntArray

Codes = npt.NDArray[np.uint64]

_ROWS_OF_A_PIVOT = 10
_MOST_ROUNDS = 50
_MEAN_WITHIN, _SPREAD_WITHIN = 0.10, 0.15
_BLOCK_VALUES = 2**24
_CODES_AT_ONCE = 2**15


class SphericalHashing(TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Codes of bits, each of which half of the training rows have, and each two a quarter.

    Parameters
    ----------
    n_bits : int
        Length of a code.
    seed : int
        Of the rows from which training starts.

    Attributes
    ----------
    pivots_ : numpy.ndarray
        ``(n_bits, n_features)`` centres of the balls.
    radii_ : numpy.ndarray
        ``(n_bits,)`` their radii.
    n_rounds_ : int
        Rounds until the overlaps of the balls were even.
    """

    def __init__(self, n_bits: int = 256, seed: int = 0) -> None:
        self.n_bits = n_bits
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags

    def fit(self, X: FloatArray, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn's
        """Find the balls; some 10 000 rows suffice.

        Parameters
        ----------
        X : numpy.ndarray
            ``(n_rows, n_features)``, two rows or more.
        y : object
            Not used.

        Returns
        -------
        SphericalHashing
            Itself.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        rng = np.random.default_rng(self.seed)
        some = rng.integers(0, len(X), (self.n_bits, min(_ROWS_OF_A_PIVOT, len(X))))
        pivots, n = X[some].mean(axis=1), len(X)
        for self.n_rounds_ in range(1, _MOST_ROUNDS + 1):
            radii, inside = _balls(X, pivots)
            overlaps = inside.T.astype(np.float64) @ inside
            pairs = overlaps[~np.eye(self.n_bits, dtype=bool)]
            even = self.n_bits == 1 or (
                abs(pairs.mean() - n / 4) < _MEAN_WITHIN * n / 4
                and pairs.std() < _SPREAD_WITHIN * n / 4
            )
            if even or self.n_rounds_ == _MOST_ROUNDS:
                break
            # too much in common pushes two pivots apart, too little pulls them together
            force = 0.5 * (overlaps / n - 0.25) / 0.25
            np.fill_diagonal(force, 0)
            pivots = pivots + (force.sum(1)[:, None] * pivots - force @ pivots) / self.n_bits
        self.pivots_, self.radii_ = pivots, radii
        return self

    def transform(self, X: FloatArray) -> npt.NDArray[np.uint8]:
        """Return the bits of each row.

        Parameters
        ----------
        X : numpy.ndarray
            ``(n_rows, n_features)``.

        Returns
        -------
        numpy.ndarray
            ``(n_rows, n_bits)`` uint8 of 0 and 1.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        bits: npt.NDArray[np.uint8] = (_distances(X, self.pivots_) < self.radii_).astype(np.uint8)
        return bits


def _distances(X: FloatArray, pivots: FloatArray) -> FloatArray:
    squares = (X**2).sum(1)[:, None] + (pivots**2).sum(1) - 2 * X @ pivots.T
    distances: FloatArray = np.sqrt(np.maximum(squares, 0))
    return distances


def _balls(X: FloatArray, pivots: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Return the radii by which half of the rows lie inside, and which rows do."""
    distances = _distances(X, pivots)
    place = max(0, int(len(X) * 0.5) - 1)
    radii = np.partition(distances, place, axis=0)[place]
    return radii, distances < radii


def pack_bits(bits: npt.NDArray[np.uint8]) -> Codes:
    """Pack bits into words of 64, filled up with 0.

    Parameters
    ----------
    bits : numpy.ndarray
        ``(n_rows, n_bits)`` of 0 and 1.

    Returns
    -------
    numpy.ndarray
        ``(n_rows, n_words)`` uint64.
    """
    filled = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 64)))
    return np.packbits(filled, axis=1, bitorder="little").view("<u8").astype(np.uint64)


def hamming(queries: Codes, codes: Codes) -> IntArray:
    """Return the number of bits in which packed codes differ.

    Parameters
    ----------
    queries, codes : numpy.ndarray
        ``(n_queries, n_words)`` and ``(n_rows, n_words)`` from `pack_bits`.

    Returns
    -------
    numpy.ndarray
        ``(n_queries, n_rows)`` int64.
    """
    return _measured(queries, codes, lambda differing, _: differing).astype(np.int64)


def spherical_hamming(queries: Codes, codes: Codes) -> FloatArray:
    """Return how far packed codes are apart, less so the more balls they share.

    Parameters
    ----------
    queries, codes : numpy.ndarray
        ``(n_queries, n_words)`` and ``(n_rows, n_words)`` from `pack_bits`.

    Returns
    -------
    numpy.ndarray
        ``(n_queries, n_rows)`` float64: bits that differ by bits that both have, and 0.1.
    """
    return _measured(queries, codes, lambda differing, shared: differing / (shared + 0.1))


def nearest_codes(queries: Codes, codes: Codes, n: int) -> IntArray:
    """Find the rows of least spherical Hamming distance, by a scan over all codes.

    Parameters
    ----------
    queries, codes : numpy.ndarray
        ``(n_queries, n_words)`` and ``(n_rows, n_words)`` from `pack_bits`.
    n : int
        How many for each query.

    Returns
    -------
    numpy.ndarray
        ``(n_queries, min(n, n_rows))`` int64 rows, nearest first.
    """
    n = min(n, len(codes))
    step = max(1, _BLOCK_VALUES // max(1, len(codes)))
    parts = [np.empty((0, n), np.int64)]
    for first in range(0, len(queries), step):
        far = spherical_hamming(queries[first : first + step], codes)
        found = np.argpartition(far, n - 1, axis=1)[:, :n] if n < len(codes) else None
        found = np.broadcast_to(np.arange(n), far.shape) if found is None else found
        order = np.lexsort((found, np.take_along_axis(far, found, 1)))
        parts.append(np.take_along_axis(found, order, 1))
    return np.concatenate(parts)


def _measured(
    queries: Codes, codes: Codes, measure: Callable[[IntArray, IntArray], FloatArray | IntArray]
) -> FloatArray:
    """Return a measure of the bits that differ and that are shared; blocks stay in the cache."""
    far = np.empty((len(queries), len(codes)))
    n_asked = np.bitwise_count(queries).sum(1, dtype=np.int32)
    for first in range(0, len(codes), _CODES_AT_ONCE):
        rows = slice(first, first + _CODES_AT_ONCE)
        words = np.ascontiguousarray(codes[rows].T)
        n_own = np.bitwise_count(words).sum(0, dtype=np.int32)
        for query, n, out in zip(queries, n_asked, far[:, rows], strict=True):
            shared = np.zeros_like(n_own)
            for word, asked in zip(words, query, strict=True):
                shared += np.bitwise_count(word & asked)
            out[:] = measure(n + n_own - 2 * shared, shared)
    return far
