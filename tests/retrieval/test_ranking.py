"""Measures of rankings against numbers from their rules."""

import itertools

import numpy as np
import pytest

from decaf.retrieval.ranking import (
    hit_rate,
    intersection,
    precision_at,
    random_ap,
    recall_at,
    step_aps,
    trapezoid_ap,
    ukbench_score,
)


@pytest.mark.parametrize(
    ("ranks", "trapezoid", "steps"),
    [({0, 2}, 0.791667, 0.833333), ({1}, 0.25, 0.5), ({0}, 1, 1)],
)
def test_golden_average_precisions(ranks, trapezoid, steps):
    relevant = np.array([rank in ranks for rank in range(4)])
    assert trapezoid_ap(np.where(relevant, 1, -1)) == pytest.approx(trapezoid, abs=1e-6)
    assert step_aps(relevant[None], np.arange(4.0)[None]) == pytest.approx(steps, abs=1e-6)


def test_junk_is_as_if_it_were_not_there():
    assert trapezoid_ap(np.array([0, 1, 0, -1, 1, 0])) == trapezoid_ap(np.array([1, -1, 1]))
    assert trapezoid_ap(np.array([1, -1]), n_relevant=2) == 0.5
    assert np.isnan(trapezoid_ap(np.array([-1, 0])))


def test_ties_are_one_group_whatever_their_order():
    relevant, distances = np.array([True, False, False, True]), np.array([1.0, 1, 2, 3])
    orders = np.stack([relevant, relevant[[1, 0, 2, 3]], relevant])
    found = step_aps(orders, np.stack([distances, distances, [1, 2, 2, np.inf]]))
    assert found[:2] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert found[2] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("n", "r"), [(2, 1), (5, 2), (6, 6), (1, 1)])
def test_the_floor_is_the_mean_over_all_orders(n, r):
    found = [
        step_aps(np.isin(np.arange(n), places)[None], np.arange(float(n))[None])
        for places in itertools.combinations(range(n), r)
    ]
    assert random_ap(n, r) == pytest.approx(np.mean(found))


def test_golden_floors():
    assert random_ap(2, 1) == 0.75
    assert random_ap(4177, 40) == pytest.approx(0.01145, abs=5e-6)


def test_shares_of_answers():
    relevant = np.array([[True, False, False], [False, False, True]])
    assert precision_at(relevant, 2) == 0.25
    assert [hit_rate(relevant, k) for k in (1, 2, 3)] == [0.5, 0.5, 1]
    found, true = np.array([[5, 6], [7, 8]]), np.array([[6, 5], [7, 9]])
    assert [recall_at(found, true, k) for k in (1, 2)] == [0.5, 1]
    assert intersection(found, true) == 0.75


def test_ukbench_counts_the_query_too():
    assert ukbench_score(np.array([[True] * 4, [True, False, False, True]])) == 3
    assert ukbench_score([np.array([True, False, False, False, True])]) == 1
