"""Whether two rows of a results table differ: a paired comparison over the same splits.

Over several splits it is the corrected resampled t-test, where that holds. On one split the test
images themselves are compared, where their scores are kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import ndtr, stdtr, stdtrit
from scipy.stats import binomtest

from decaf.errors import DataError
from decaf.metrics.bootstrap import ScoredRows, interval, resampled
from decaf.results import Result, ResultTable
from decaf.results.files import find_scores

MOST_TEST_PER_TRAIN = 1.0
"""With more rows to test than to train, the corrected test is not made; see `why_untested`."""


@dataclass(frozen=True)
class PairedTest:
    """Outcome of a paired comparison.

    Attributes
    ----------
    difference : float
        Mean of the differences.
    ci95_low, ci95_high : float
        Its 95 % interval; nan where it is not tested.
    t, p : float
        Statistic of the t-test and two-sided p-value; nan where there is none, and where all
        differences are 0.
    n_splits : int
        Number of differences.
    method : str
        How it is tested, a key of `METHODS`.
    """

    difference: float
    ci95_low: float
    ci95_high: float
    t: float
    p: float
    n_splits: int
    method: str = "t-test"


METHODS = {
    "t-test": "interval and p by the corrected resampled t-test (Nadeau and Bengio)",
    "McNemar": "of one split, the interval is by the paired bootstrap over its test side, and p is "
    "McNemar's, exact",
    "bootstrap": "of one split, interval and p are by the paired bootstrap over its test side, the "
    "heads as they are",
}
"""How pairs are tested, in words."""


@dataclass(frozen=True)
class Pair:
    """Two rows of a results table over the same splits.

    Attributes
    ----------
    first, second : Result
        The rows' results on their first common split; they name the rows.
    test : PairedTest
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
    test: PairedTest
    untested: str = ""
    p_holm: float = float("nan")
    n_pairs: int = 1


def corrected_t_test(differences: Sequence[float], n_train: float, n_test: float) -> PairedTest:
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
    PairedTest
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
        return PairedTest(mean, nan, nan, nan, nan, 1)
    error = math.sqrt((1 / n + n_test / n_train) * float(np.var(differences, ddof=1)))
    half = float(stdtrit(n - 1, 0.975)) * error
    if error == 0:
        t, p = (nan, nan) if mean == 0 else (math.copysign(math.inf, mean), 0.0)
    else:
        t = mean / error
        p = 2 * float(stdtr(n - 1, -abs(t)))
    return PairedTest(mean, mean - half, mean + half, t, p, n)


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
        return "one split alone, without the scores that decaf evaluate --keep-scores keeps"
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


def compare_rows(first: Sequence[Result], second: Sequence[Result]) -> PairedTest:
    """Compare two rows of results split by split.

    Parameters
    ----------
    first, second : sequence of Result
        One result per split, of one data set, protocol, number of shots and metric.

    Returns
    -------
    PairedTest
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


def pairs_with_best(table: ResultTable, paths: Sequence[Path] = ()) -> tuple[Pair, ...]:
    """Compare every row of a table with the best one over the same splits.

    Parameters
    ----------
    table : ResultTable
        Results of one evaluation or several.
    paths : sequence of pathlib.Path
        Their files; scores kept beside them let results of one split be tested.

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
    pairs = [pair for rows in groups.values() for pair in _with_best(rows, paths)]
    if not pairs:
        raise DataError(
            f"asked to compare rows over the same splits, found {len(table)} results without two "
            "such rows; evaluate several heads or layers with one protocol and seed"
        )
    return tuple(pairs)


def _with_best(rows: Sequence[Sequence[Result]], paths: Sequence[Path]) -> list[Pair]:
    """Return the best row with each other, p corrected for all pairs that might have been it."""
    ranked = sorted(rows, key=lambda row: -float(np.mean([r.value for r in row])))
    every = list(combinations(ranked, 2))
    with_best = every[: len(ranked) - 1]
    reason = why_untested(ranked[0])
    tests = [] if reason else [compare_rows(a, b) for a, b in every]
    if len(ranked[0]) == 1:
        tests = _on_one_split([row[0] for row in ranked], paths)
    if not tests:
        return [
            Pair(a[0], b[0], _untested(compare_rows(a, b)), reason, n_pairs=len(every))
            for a, b in with_best
        ]
    corrected = holm([test.p for test in tests])
    return [
        Pair(a[0], b[0], test, "", p, len(every))
        for (a, b), test, p in zip(with_best, tests, corrected, strict=False)
    ]


def _on_one_split(results: Sequence[Result], paths: Sequence[Path]) -> list[PairedTest]:
    """Return the tests of all pairs over the test rows of one split; none without their scores."""
    found = [find_scores(paths, result) for result in results]
    kept = [one for one in found if one is not None]
    if len(kept) < len(results) or len({one.ids.tobytes() for one in kept}) > 1:
        return []
    first = kept[0]
    rows = ScoredRows(
        first.labels,
        [one.scores for one in kept],
        [one.classes for one in kept],
        first.groups if len(first.groups) else None,
    )
    return compare_scores(rows, [result.value for result in results], results[0].metric)


def compare_scores(rows: ScoredRows, values: Sequence[float], metric: str) -> list[PairedTest]:
    """Compare heads on the same test rows, two by two.

    The interval is that of the paired bootstrap. p is McNemar's, exact, for the accuracy on rows
    that stand alone [1]_; else that of a normal distribution with the bootstrap's standard error.

    Parameters
    ----------
    rows : ScoredRows
        What each head says of the rows.
    values : sequence of float
        Value of the metric of each head.
    metric : str
        ``top1``, ``mean_per_class``, ``map_area`` or ``map_11pt``.

    Returns
    -------
    list of PairedTest
        For the pairs of heads, in order: 0 and 1, 0 and 2, and so on.

    References
    ----------
    .. [1] McNemar, Note on the sampling error of the difference between correlated proportions,
       Psychometrika 12, 1947.
    """
    resamples, nan = resampled(rows, metric), float("nan")
    exact = metric == "top1" and rows.groups is None
    tests = []
    for a, b in combinations(range(len(values)), 2):
        difference, spread = values[a] - values[b], resamples[a] - resamples[b]
        error = float(np.nanstd(spread))
        if exact:
            only_a, only_b = (
                int(np.sum(rows.right[i] & ~rows.right[j])) for i, j in ((a, b), (b, a))
            )
            p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else nan
        elif error == 0:
            p = nan if difference == 0 else 0.0
        else:
            p = 2 * float(ndtr(-abs(difference) / error))
        low, high = interval(spread, difference)
        method = "McNemar" if exact else "bootstrap"
        tests.append(PairedTest(difference, low, high, nan, p, 1, method))
    return tests


def _untested(test: PairedTest) -> PairedTest:
    nan = float("nan")
    return replace(test, ci95_low=nan, ci95_high=nan, t=nan, p=nan)


def _rows(table: ResultTable) -> list[list[Result]]:
    rows: dict[str, list[Result]] = {}
    for r in table:
        rows.setdefault(r.key, []).append(r)
    return list(rows.values())


def _split(r: Result) -> tuple[object, ...]:
    task = (r.dataset, r.dataset_digest, r.protocol, r.drawn, r.metric)
    return (*task, r.split, r.seed, r.split_digest, r.n_train, r.n_test)
