"""Queries and rows as the mean with what is near them.

References
----------
Chum et al., Total recall, ICCV 2007 (average query expansion); Turcot and Lowe, Better matching
with fewer features, 2009 (the same for the rows that are searched).
"""

import numpy as np

from decaf.retrieval.exact import RowBlocks, blocks_of, nearest, unit_rows
from decaf.types import FloatArray, IntArray


def expanded(queries: FloatArray, base: RowBlocks, near: IntArray) -> FloatArray:
    """Return the mean of each query and of rows near it.

    Parameters
    ----------
    queries : numpy.ndarray
        ``(n_queries, n_features)``.
    base : RowBlocks
        The rows that were searched.
    near : numpy.ndarray
        ``(n_queries, n)`` rows of `base`.

    Returns
    -------
    numpy.ndarray
        ``(n_queries, n_features)`` float32: means of rows of length 1, and of length 1 themselves.
    """
    total = unit_rows(queries).astype(np.float64)
    wanted, at = np.unique(near.ravel(), return_inverse=True)
    query = np.repeat(np.arange(len(near)), near.shape[1])
    if len(wanted):
        places = np.arange(len(wanted))
        for rows, X in blocks_of(base, wanted):
            here = np.isin(at, places[np.searchsorted(wanted, rows)])
            found = unit_rows(X)[np.searchsorted(rows, wanted[at[here]])]
            np.add.at(total, query[here], found)
    return unit_rows(total)


def augmented(base: RowBlocks, rows: IntArray, n: int, device: str = "cpu") -> FloatArray:
    """Return the mean of each row and its nearest ones, by the cosine.

    Parameters
    ----------
    base : RowBlocks
        The rows.
    rows : numpy.ndarray
        Which of them, ascending; they must fit into memory.
    n : int
        How many near ones.
    device : str
        Where they are looked for.

    Returns
    -------
    numpy.ndarray
        ``(len(rows), n_features)`` float32 of length 1.
    """
    X = np.concatenate([block for _, block in blocks_of(base, rows)])
    near = nearest(X, X, n + 1, device=device).without(np.arange(len(X)))
    return expanded(X, X, near.rows)
