"""Whether two rows of a results table differ: a paired comparison over the same splits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.special import stdtr, stdtrit

from decaf.errors import DataError
from decaf.results import Result, ResultTable

MOST_TEST_PER_TRAIN = 1.0
"""With more rows to test than to train, the corrected test is not made; see `why_untested`."""


@dataclass(frozen=True)
class CorrectedTest:
    """Outcome of the corrected resampled t-test.

    Attributes
    ----------
    difference : float
        Mean of the differences.
    ci95_low, ci95_high : float
        Its 95 % interval; nan for one split.
    t, p : float
        Statistic and two-sided p-value; nan for one split, and where all differences are 0.
    n_splits : int
        Number of differences.
    """

    difference: float
    ci95_low: float
    ci95_high: float
    t: float
    p: float
    n_splits: int


@dataclass(frozen=True)
class Pair:
    """Two rows of a results table over the same splits.

    Attributes
    ----------
    first, second : Result
        The rows' results on their first common split; they name the rows.
    test : CorrectedTest
        Of the first row's values minus the second's; without interval, t and p if `untested`.
    untested : str
        Why the test does not hold for these splits; empty if it does.
    p_holm : float
        p, corrected for `n_pairs`.
    n_pairs : int
        All pairs of rows over these splits.
    """

    first: Result
    second: Result
    test: CorrectedTest
    untested: str = ""
    p_holm: float = float("nan")
    n_pairs: int = 1


def corrected_t_test(differences: Sequence[float], n_train: float, n_test: float) -> CorrectedTest:
    """Test whether paired differences over random splits of one data set are 0 on average.

    The splits share images, so that their differences vary less than those of new data sets
    would; the variance is therefore taken ``1 / n + n_test / n_train`` times, not ``1 / n``.

    Parameters
    ----------
    differences : sequence of float
        One difference per split.
    n_train, n_test : float
        Rows of a split's two sides.

    Returns
    -------
    CorrectedTest
        The outcome, with ``n - 1`` degrees of freedom.

    Raises
    ------
    DataError
        There is no difference, or a side is empty.

    References
    ----------
    Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003, section 5.
    """
    n = len(differences)
    if n == 0 or n_train <= 0 or n_test <= 0:
        raise DataError(
            f"asked to test {n} differences of splits with {n_train:g} rows to train and "
            f"{n_test:g} to test; give one split or more, with rows on both sides"
        )
    mean, nan = float(np.mean(differences)), float("nan")
    if n == 1:
        return CorrectedTest(mean, nan, nan, nan, nan, 1)
    error = math.sqrt((1 / n + n_test / n_train) * float(np.var(differences, ddof=1)))
    half = float(stdtrit(n - 1, 0.975)) * error
    if error == 0:
        t, p = (nan, nan) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    else:
        t = mean / error
        p = 2 * float(stdtr(n - 1, -abs(t)))
    return CorrectedTest(mean, mean - half, mean + half, t, p, n)


def why_untested(row: Sequence[Result]) -> str:
    """Say why the corrected test does not hold for a row's splits; nothing if it does.

    It is made for random splits of one data set, each with its own test rows, which are no more
    than the rows to train: its correction takes the share of test rows for the correlation of two
    splits, which is far off where little is trained on [1]_. Where the test rows are the same in
    every split, they are a sample that no number of splits makes larger.

    Parameters
    ----------
    row : sequence of Result
        One result per split.

    Returns
    -------
    str
        The reason, in words.

    References
    ----------
    .. [1] Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003,
       sections 3 and 5.
    """
    if len(row) < 2:
        return "one split alone"
    tests = {r.test_digest for r in row}
    if len(tests) < len(row) and tests != {""}:
        return "splits share their test images"
    ratio = float(np.mean([r.n_test for r in row]) / np.mean([r.n_train for r in row]))
    if ratio > MOST_TEST_PER_TRAIN:
        return f"{ratio:.2g} times as many images to test as to train"
    return ""


def holm(p: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number by Holm's method.

    Parameters
    ----------
    p : sequence of float
        Of any tests, dependent or not; nan counts as a test and stays.

    Returns
    -------
    list of float
        In the same order, at most 1.

    References
    ----------
    Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6, 1979.
    """
    values = np.asarray(p, dtype=np.float64)
    order = np.argsort(values)  # nan last
    steps = np.arange(len(values), 0, -1) * values[order]
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]


def compare_rows(first: Sequence[Result], second: Sequence[Result]) -> CorrectedTest:
    """Compare two rows of results split by split.

    Parameters
    ----------
    first, second : sequence of Result
        One result per split, of one data set, protocol, number of shots and metric.

    Returns
    -------
    CorrectedTest
        Of the first row's values minus the second's.

    Raises
    ------
    DataError
        The rows were not measured on the same splits.
    """
    ours, theirs = ({_split(r): r.value for r in row} for row in (first, second))
    if ours.keys() != theirs.keys():
        a, b = (f"{r[0].layer} {r[0].head} ({len(r)} splits)" for r in (first, second))
        raise DataError(
            f"asked to compare {a} with {b}, found other splits; evaluate both on one data set "
            "with one protocol, seed and number of splits"
        )
    differences = [ours[split] - theirs[split] for split in ours]
    n_train = float(np.mean([r.n_train for r in first]))
    n_test = float(np.mean([r.n_test for r in first]))
    return corrected_t_test(differences, n_train, n_test)


def pairs_with_best(table: ResultTable) -> tuple[Pair, ...]:
    """Compare every row of a table with the best one over the same splits.

    Parameters
    ----------
    table : ResultTable
        Results of one evaluation or several.

    Returns
    -------
    tuple of Pair
        For each set of splits, the best row minus each other, in order of the difference; tested
        only where the test holds, and corrected for all pairs of rows over these splits.

    Raises
    ------
    DataError
        No two rows were measured on the same splits.
    """
    groups: dict[frozenset[tuple[object, ...]], list[list[Result]]] = {}
    for row in _rows(table):
        groups.setdefault(frozenset(map(_split, row)), []).append(row)
    pairs = [pair for rows in groups.values() for pair in _with_best(rows)]
    if not pairs:
        raise DataError(
            f"asked to compare rows over the same splits, found {len(table)} results without two "
            "such rows; evaluate several heads or layers with one protocol and seed"
        )
    return tuple(pairs)


def _with_best(rows: Sequence[Sequence[Result]]) -> list[Pair]:
    """Return the best row with each other, p corrected for all pairs that might have been it."""
    ranked = sorted(rows, key=lambda row: -float(np.mean([r.value for r in row])))
    every = list(combinations(ranked, 2))
    with_best = every[: len(ranked) - 1]
    reason = why_untested(ranked[0])
    if reason:
        return [
            Pair(a[0], b[0], _untested(compare_rows(a, b)), reason, n_pairs=len(every))
            for a, b in with_best
        ]
    tests = [compare_rows(a, b) for a, b in every]
    corrected = holm([test.p for test in tests])
    return [
        Pair(a[0], b[0], test, "", p, len(every))
        for (a, b), test, p in zip(with_best, tests, corrected, strict=False)
    ]


def _untested(test: CorrectedTest) -> CorrectedTest:
    nan = float("nan")
    return replace(test, ci95_low=nan, ci95_high=nan, t=nan, p=nan)


def _rows(table: ResultTable) -> list[list[Result]]:
    rows: dict[str, list[Result]] = {}
    for r in table:
        rows.setdefault(r.key, []).append(r)
    return list(rows.values())


def _split(r: Result) -> tuple[object, ...]:
    task = (r.dataset, r.dataset_digest, r.protocol, r.shots, r.metric)
    return (*task, r.split, r.seed, r.split_digest, r.n_train, r.n_test)
