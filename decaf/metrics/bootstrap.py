"""How far a measure on one set of test images can be trusted: the bootstrap of images or groups.

Images are drawn again, with replacement; where some belong together, as those of a patient do,
whole groups are. Average precision, which images drawn twice disturb, is measured on random halves
of them instead, which spread as much. It says how the measure would vary with other test images,
the head as it is; not how it would with other training images.

References
----------
B. Efron and R. Tibshirani, An introduction to the bootstrap, 1993 (chapters 6, 8 and 13).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.special import expit, logit, ndtr, ndtri

from decaf.metrics.accuracies import predicted_classes
from decaf.metrics.average_precision import resampled_ap
from decaf.types import FloatArray, IntArray

N_RESAMPLES = 1000

_OfResamples = Callable[[Any, FloatArray, IntArray], FloatArray]
_Draws = Callable[[IntArray, np.random.Generator, int, int], Iterator[IntArray]]
_CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """The test rows of a split, and what heads say of them.

    Attributes
    ----------
    labels : numpy.ndarray
        ``(n,)`` class numbers, or ``(n, n_classes)`` of 1, -1 and 0 (not counted).
    scores : sequence of numpy.ndarray
        Of each head, as its ``decision_function`` gives them.
    classes : sequence of numpy.ndarray
        Class numbers of the columns, of each head.
    groups : numpy.ndarray or None
        ``(n,)`` what each row belongs to.
    """

    labels: IntArray
    scores: Sequence[FloatArray]
    classes: Sequence[IntArray]
    groups: npt.NDArray[np.generic] | None = None

    @property
    def units(self) -> IntArray:
        """Number ``(n,)`` of what is drawn with each row: of its group, or of itself."""
        if self.groups is None:
            return np.arange(len(self.labels))
        numbers: IntArray = np.unique(self.groups, return_inverse=True)[1]
        return numbers

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which rows ``(n_heads, n)`` each head takes for their class, where rows have one."""
        pairs = zip(self.scores, self.classes, strict=True)
        return np.array([predicted_classes(*pair) == self.labels for pair in pairs])

    @property
    def over(self) -> str:
        """What is drawn again, in words: ``1200 images``, ``57 groups``."""
        return f"{self.units.max() + 1} {'images' if self.groups is None else 'groups'}"


def resampled(
    tested: ScoredRows, metric: str, *, seed: int = 0, n_resamples: int = N_RESAMPLES
) -> FloatArray:
    """Return a metric on resamples of test rows, the same ones for all heads.

    Parameters
    ----------
    tested : ScoredRows
        Rows and scores.
    metric : str
        ``top1``, ``mean_per_class``, ``map_area``, ``map_11pt`` or ``r2``.
    seed : int
        Seed of the resamples.
    n_resamples : int
        Number of resamples.

    Returns
    -------
    numpy.ndarray
        ``(n_heads, n_resamples)`` values.
    """
    rng = np.random.default_rng(seed)
    if tested.labels.ndim == 2:
        if metric == "r2":
            return _of_rows(tested, _r2, _draws, rng, n_resamples)
        precision = partial(resampled_ap, rule=metric)
        return _of_rows(tested, precision, _halves, rng, n_resamples)
    right = tested.right
    columns, number = np.unique(tested.labels, return_inverse=True)
    cells, sizes = tested.units, np.ones(tested.units.max() + 1, np.int64)
    if tested.groups is None:  # rows of one class that all heads get right, or wrong, are alike
        alike = np.vstack([number, right])
        cells, sizes = np.unique(alike, axis=1, return_inverse=True, return_counts=True)[1:]

    def held(counted: npt.NDArray[np.bool_]) -> csr_array:
        """Return how many rows of each class ``(n_classes, n_cells)`` one draw of a cell brings."""
        rows = counted / sizes[cells]
        return csr_array((rows, (number, cells)), shape=(len(columns), len(sizes)))

    every, hits = held(np.ones(len(number), np.bool_)), [held(one) for one in right]
    values = []
    for drawn in _draws(sizes, rng, n_resamples):
        totals = every @ drawn.T
        found = (one @ drawn.T for one in hits)
        if metric == "top1":
            values.append([one.sum(0) / totals.sum(0) for one in found])
        else:  # a class that a resample does not hold does not count
            known = np.maximum((totals > 0).sum(0), 1)
            values.append([(one / np.maximum(totals, 1)).sum(0) / known for one in found])
    return np.concatenate(values, axis=1)


def interval(
    values: FloatArray, value: float, share: float = 0.95, *, of_precision: bool = False
) -> tuple[float, float]:
    """Return the interval of a metric: of its mean over test sets of this size.

    It is the bias-corrected percentile interval [1]_. Average precision is higher on few rows than
    on many, and on halves higher again; its interval is that of a normal distribution of its logit,
    which has their spread [2]_.

    Parameters
    ----------
    values : numpy.ndarray
        ``(n_resamples,)`` values; nan, of a resample without a case, does not count.
    value : float
        The metric on the rows themselves.
    share : float
        Between 0 and 1.
    of_precision : bool
        Whether the metric is a mean average precision.

    Returns
    -------
    tuple of float
        Its ends; nan where no resample has a case.

    References
    ----------
    .. [1] B. Efron, Nonparametric standard errors and confidence intervals, Canadian Journal of
       Statistics 9, 1981.
    .. [2] B. Efron, The jackknife, the bootstrap and other resampling plans, 1982 (chapter 8).
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = ndtri((1 + share) / 2)
    if of_precision and 0 < value < 1:
        half = tail * known.std(ddof=1) / (value * (1 - value))  # by the slope of the logit
        low, high = expit(logit(value) + np.array([-half, half]))
        return float(low), float(high)
    below = np.mean(known < value) / 2 + np.mean(known <= value) / 2
    shift = 2 * ndtri(np.clip(below, 1 / len(known), 1 - 1 / len(known)))
    low, high = np.quantile(known, ndtr([shift - tail, shift + tail]))
    return float(low), float(high)


def _of_rows(
    tested: ScoredRows,
    measure: _OfResamples,
    draws: _Draws,
    rng: np.random.Generator,
    n_resamples: int,
) -> FloatArray:
    """Return a measure of resamples, ``(n_heads, n_resamples)``."""
    unit = tested.units
    values = [
        [measure(tested.labels, scores, drawn[:, unit]) for scores in tested.scores]
        for drawn in draws(np.ones(unit.max() + 1, np.int64), rng, n_resamples, len(unit))
    ]
    return np.concatenate(values, axis=1)


def _r2(labels: FloatArray, scores: FloatArray, counts: IntArray) -> FloatArray:
    """Return R2 of rows that count so often, ``(n_resamples,)``; nan where all labels are equal."""
    y = labels[:, 0] - labels[:, 0].mean()
    errors = counts @ np.square(labels[:, 0] - scores[:, 0])
    about = counts @ np.square(y) - np.square(counts @ y) / counts.sum(1)
    known = about > 1e-12 * np.square(y).sum()
    return np.where(known, 1 - errors / np.where(known, about, 1), np.nan)


def _draws(
    sizes: IntArray, rng: np.random.Generator, n_resamples: int, width: int = 0
) -> Iterator[IntArray]:
    """Yield how often each cell is drawn, ``(some, n_cells)``: as many draws as all sizes."""
    at_once = max(1, _CELLS_AT_ONCE // max(width, len(sizes)))
    for first in range(0, n_resamples, at_once):
        some = min(at_once, n_resamples - first)
        yield rng.multinomial(sizes.sum(), sizes / sizes.sum(), size=some)


def _halves(
    sizes: IntArray, rng: np.random.Generator, n_resamples: int, width: int
) -> Iterator[IntArray]:
    """Yield which cells are in a random half, ``(some, n_cells)``; of a single cell, that one."""
    n = len(sizes)
    at_once = max(1, _CELLS_AT_ONCE // max(width, n))
    for first in range(0, n_resamples, at_once):
        some = min(at_once, n_resamples - first)
        half = np.arange(n) < (n + 1) // 2
        yield rng.permuted(np.tile(half, (some, 1)), axis=1).astype(np.int64)
