from dataclasses import replace

import numpy as np
import pytest

from decaf.analysis.paired import compare_rows, corrected_t_test, pairs_with_best
from decaf.errors import DataError
from decaf.results import ResultTable
from tests.test_results import ONE


def row(head, values, **fields):
    return [
        replace(ONE, head=head, value=v, split=i, seed=i, **fields) for i, v in enumerate(values)
    ]


def test_by_hand():
    # mean 0.02, variance 0.0001, error^2 = (1/3 + 1/2) * 0.0001
    found = corrected_t_test([0.01, 0.02, 0.03], n_train=200, n_test=100)
    np.testing.assert_allclose(found.t, 0.02 / np.sqrt(5 / 6 * 1e-4))
    # Student's distribution with 2 degrees of freedom has a closed form
    np.testing.assert_allclose(found.p, 1 - found.t / np.sqrt(2 + found.t**2))
    half = 4.302652730 * np.sqrt(5 / 6 * 1e-4)  # the printed 97.5 % point for 2 degrees
    np.testing.assert_allclose([found.ci95_low, found.ci95_high], [0.02 - half, 0.02 + half])


def test_without_a_test_side_it_would_be_the_plain_paired_t_test():
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(0)
    a, b = rng.normal(size=8), rng.normal(size=8)
    found = corrected_t_test(list(a - b), n_train=1e12, n_test=1)
    np.testing.assert_allclose([found.t, found.p], ttest_rel(a, b)[:2], rtol=1e-9)


def test_one_split_gives_no_interval():
    found = corrected_t_test([0.02], 20, 10)
    assert found.difference == 0.02
    assert np.isnan([found.ci95_low, found.t, found.p]).all()


@pytest.mark.parametrize(("difference", "p"), [(0.0, np.nan), (0.5, 0.0)])
def test_equal_differences(difference, p):
    np.testing.assert_equal(corrected_t_test([difference] * 3, 20, 10).p, p)


def test_rows_are_paired_by_split_not_by_order():
    first, second = row("svm", [0.8, 0.9, 0.7]), row("knn", [0.7, 0.7, 0.7])
    found = compare_rows(first, second[::-1])
    assert found == compare_rows(first, second)
    np.testing.assert_allclose(found.difference, 0.1)


@pytest.mark.parametrize("other", [{"seed": 7}, {"dataset": "birds"}, {"n_test": 5}])
def test_other_splits_are_refused(other):
    first = row("svm", [0.8, 0.9])
    with pytest.raises(DataError, match="found other splits"):
        compare_rows(first, [replace(r, **other) for r in first])


def test_every_row_is_compared_with_the_best_of_its_splits():
    rows = row("knn", [0.7, 0.7]) + row("svm", [0.8, 0.9]) + row("logreg", [0.6, 0.6])
    alone = row("svm", [0.5, 0.5], shots=5)
    pairs = pairs_with_best(ResultTable((*rows, *alone)))
    assert [(p.first.head, p.second.head) for p in pairs] == [("svm", "knn"), ("svm", "logreg")]
    with pytest.raises(DataError, match="without two"):
        pairs_with_best(ResultTable(tuple(alone)))
