"""How good a ranking is: the measures of image search, each by its own rule.

Oxford, Paris and Holidays take the area by trapezoids, starting at a precision of 1; average
precision over labels goes by steps. scikit-learn's and torchmetrics' are by steps.

References
----------
Philbin et al., CVPR 2007 (compute_ap.cpp); Jegou et al., ECCV 2008 (holidays_map.py); Nister and
Stewenius, CVPR 2006 (UKBench).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.types import FloatArray, IntArray


def trapezoid_ap(relevance: IntArray, n_relevant: int | None = None) -> float:
    """Return the average precision of Oxford, Paris and Holidays.

    Parameters
    ----------
    relevance : numpy.ndarray
        ``(n,)`` of the ranked list, nearest first: 1 relevant, -1 not, 0 junk, which is skipped.
    n_relevant : int, optional
        How many there are in all; those of the list if not given.

    Returns
    -------
    float
        From 0 to 1; nan where nothing is relevant.
    """
    hits = relevance[relevance != 0] > 0
    total = int(hits.sum()) if n_relevant is None else n_relevant
    if not total:
        return float("nan")
    found, places = hits.cumsum(), np.arange(1, len(hits) + 1)
    after = found / places
    before = np.concatenate([[1.0], after[:-1]])
    return float(((before + after) / 2)[hits].sum() / total)


def step_aps(
    relevant: npt.NDArray[np.bool_], distances: npt.NDArray[np.floating[Any]]
) -> FloatArray:
    """Return the average precision by steps of rankings; items at one distance are one group.

    Parameters
    ----------
    relevant : numpy.ndarray
        ``(n_queries, n)`` of ranked items, nearest first; one or more of each query.
    distances : numpy.ndarray
        ``(n_queries, n)``, ascending; infinity for what was not found.

    Returns
    -------
    numpy.ndarray
        ``(n_queries,)`` from 0 to 1.
    """
    n = relevant.shape[1]
    found = relevant.cumsum(1)
    ends = np.full(relevant.shape, n - 1)
    ends[:, :-1] = np.where(distances[:, 1:] != distances[:, :-1], np.arange(n - 1), n - 1)
    ends = np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]  # where an item's group ends
    precision = np.take_along_axis(found, ends, 1) / (ends + 1)
    counts = relevant & ~np.isinf(distances)
    aps: FloatArray = (precision * counts).sum(1) / found[:, -1]
    return aps


def random_ap(n_items: int, n_relevant: int) -> float:
    """Return the average precision by steps that a random order has on average.

    Parameters
    ----------
    n_items, n_relevant : int
        Items that are ranked, and those of them that are relevant, 1 or more.

    Returns
    -------
    float
        A floor for every report.
    """
    n, r = n_items, n_relevant
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    return harmonic / n if n == 1 else ((r - 1) / (n - 1) * (n - harmonic) + harmonic) / n


def precision_at(relevant: npt.NDArray[np.bool_], k: int) -> float:
    """Return the share of the first k answers that are relevant.

    Parameters
    ----------
    relevant : numpy.ndarray
        ``(n_queries, n)`` of ranked answers, nearest first.
    k : int
        How many count.
    """
    return float(relevant[:, :k].mean())


def hit_rate(relevant: npt.NDArray[np.bool_], k: int) -> float:
    """Return the share of queries with a relevant answer among the first k (metric learning's R@k).

    Parameters
    ----------
    relevant : numpy.ndarray
        ``(n_queries, n)`` of ranked answers, nearest first.
    k : int
        How many count.
    """
    return float(relevant[:, :k].any(1).mean())


def recall_at(found: IntArray, true: IntArray, k: int) -> float:
    """Return the share of queries whose true nearest row is among the first k ("1-recall@k").

    Parameters
    ----------
    found, true : numpy.ndarray
        ``(n_queries, n)`` rows, nearest first; of `true` the first column counts.
    k : int
        How many count.
    """
    return float((found[:, :k] == true[:, :1]).any(1).mean())


def intersection(found: IntArray, true: IntArray) -> float:
    """Return the share of the true k nearest rows that are among the k found ("k-recall@k").

    Parameters
    ----------
    found, true : numpy.ndarray
        ``(n_queries, k)`` rows.
    """
    return float((found[:, :, None] == true[:, None, :]).any(1).mean())


def ukbench_score(relevant: Sequence[npt.NDArray[np.bool_]]) -> float:
    """Return how many of the first four answers show the query's object; the query counts too.

    Parameters
    ----------
    relevant : sequence of numpy.ndarray
        Of each query whether its ranked answers, itself included, are of its object.

    Returns
    -------
    float
        From 0 to 4.
    """
    return float(np.mean([hits[:4].sum() for hits in relevant]))
