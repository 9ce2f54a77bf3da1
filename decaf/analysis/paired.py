"""Whether two rows of a results table differ: a paired comparison over the same splits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from decaf.errors import DataError
from decaf.results import Result, ResultTable


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
        Of the first row's values minus the second's.
    """

    first: Result
    second: Result
    test: CorrectedTest


def corrected_t_test(differences: Sequence[float], n_train: float, n_test: float) -> CorrectedTest:
    """Test whether paired differences over random splits of one data set are 0 on average.

    The splits share pictures, so that their differences vary less than those of new data sets
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
        For each set of splits, the best row minus each other, in order of the difference.

    Raises
    ------
    DataError
        No two rows were measured on the same splits.
    """
    groups: dict[frozenset[tuple[object, ...]], list[list[Result]]] = {}
    for row in _rows(table):
        groups.setdefault(frozenset(map(_split, row)), []).append(row)
    pairs: list[Pair] = []
    for rows in groups.values():
        best, *others = sorted(rows, key=lambda row: -float(np.mean([r.value for r in row])))
        pairs += [Pair(best[0], other[0], compare_rows(best, other)) for other in others]
    if not pairs:
        raise DataError(
            f"asked to compare rows over the same splits, found {len(table)} results without two "
            "such rows; evaluate several heads or layers with one protocol and seed"
        )
    return tuple(pairs)


def _rows(table: ResultTable) -> list[list[Result]]:
    rows: dict[tuple[object, ...], list[Result]] = {}
    for r in table:
        net = (r.backbone, r.weights_sha256, r.layer, r.pool, r.view, r.normalize, r.digest)
        rows.setdefault((r.dataset, r.protocol, r.shots, r.metric, r.head, *net), []).append(r)
    return list(rows.values())


def _split(r: Result) -> tuple[object, ...]:
    return (r.dataset, r.protocol, r.shots, r.metric, r.split, r.seed, r.n_train, r.n_test)
