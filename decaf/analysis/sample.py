"""Rows of a store to look at: those that hold features, evenly spaced, one vector each."""

import numpy as np

from decaf.store import FeatureStore
from decaf.types import FloatArray, IntArray


def sample_rows(store: FeatureStore, limit: int | None) -> IntArray:
    """Return rows that hold features, evenly spaced.

    Parameters
    ----------
    store : FeatureStore
        An open store.
    limit : int or None
        At most so many; None takes all.

    Returns
    -------
    numpy.ndarray
        Ascending row numbers.
    """
    rows = np.flatnonzero(store.done)
    if limit is None or len(rows) <= limit:
        return rows
    return rows[np.arange(limit) * len(rows) // limit]


def layer_rows(store: FeatureStore, layer: str, rows: IntArray) -> FloatArray:
    """Return one vector a row of a layer.

    Parameters
    ----------
    store : FeatureStore
        An open store.
    layer : str
        Name of the layer.
    rows : numpy.ndarray
        Row numbers.

    Returns
    -------
    numpy.ndarray
        ``(n_rows, n_features)`` float32, the mean over views.
    """
    X = store[layer][rows].astype(np.float32, copy=False)
    return X if X.ndim == 2 else X.mean(axis=1)
