"""Exact search equals scikit-learn's brute force, and the order of ties is that of the rows."""

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from decaf.errors import ConfigError
from decaf.retrieval import exact
from decaf.retrieval.exact import nearest


@pytest.fixture(params=[2**23, 900], ids=["one block", "many blocks"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(exact, "_BLOCK_VALUES", request.param)
    monkeypatch.setattr(exact, "_QUERY_VALUES", request.param)


def problem(seed):
    """Rows of small whole numbers, or copies of others, far from nought, long and short, or not."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(3, 700)), int(rng.integers(1, 40))
    X = rng.normal(size=(n, d)) * 10.0 ** rng.integers(-3, 4) + (seed % 5 == 1) * 1e3
    if seed % 4 == 0:
        X = rng.integers(-1, 2, (n, d)).astype(float)
    if seed % 3 == 0:
        X[rng.integers(0, n, n // 2)] = X[rng.integers(0, n, n // 2)]
    return X.astype(np.float32), X[rng.integers(0, n, 9)].astype(np.float32) + (seed % 2) * 0.01


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_it_equals_brute_force(seed, metric):
    X, queries = problem(seed)
    queries = queries.astype(np.float32)
    found = nearest(queries, X, 7, metric)
    name = {"cosine": "cosine", "l2": "euclidean"}[metric]
    Q64, X64 = queries.astype(np.float64), X.astype(np.float64)
    if metric == "cosine":
        true = pairwise_distances(Q64, X64, metric=name)
    else:  # scikit-learn's own float64 product loses digits far from nought
        true = np.sqrt(((Q64[:, None] - X64) ** 2).sum(2))
        np.testing.assert_allclose(pairwise_distances(Q64, X64), true, atol=1e-3, rtol=1e-6)
    k = min(7, len(X))
    assert found.rows.shape == (9, k)
    order = np.argsort(true, axis=1, kind="stable")[:, :k]
    np.testing.assert_allclose(found.distances, np.take_along_axis(true, order, 1), atol=1e-12)
    np.testing.assert_allclose(found.distances, np.take_along_axis(true, found.rows, 1), atol=1e-12)
    for rows, distances in zip(found.rows, found.distances, strict=True):
        assert len(set(rows.tolist())) == k
        assert (np.diff(distances) >= 0).all()
        assert (np.diff(rows)[np.diff(distances) == 0] > 0).all()
    if metric == "l2" and seed % 4 == 0:  # whole numbers: exact ties, whose order is known
        np.testing.assert_array_equal(found.rows, order)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_of_equal_rows_the_first_are_found(metric):
    X = np.ones((300, 5), np.float32)
    assert nearest(X[:2], X, 4, metric).rows.tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e17, 1e36])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_very_long_and_very_short_rows_are_ordered_too(size, metric):
    X = (np.random.default_rng(0).normal(size=(200, 8)) * size).astype(np.float32)
    X[3] = 0
    true = pairwise_distances(X[5:7].astype(np.float64) / size, X.astype(np.float64) / size,
                              metric={"cosine": "cosine", "l2": "l2"}[metric])  # fmt: skip
    found = nearest(X[5:7], X, 6, metric).rows
    np.testing.assert_array_equal(found, np.argsort(true, axis=1, kind="stable")[:, :6])


def test_only_rows_that_count_are_found_and_views_are_averaged():
    views = np.random.default_rng(1).normal(size=(50, 3, 4)).astype(np.float32)
    rows = np.array([0, 4, 9, 30, 31, 32])
    X = views.mean(axis=1)
    found = nearest(X[:3], views, 3, rows=rows).rows
    np.testing.assert_array_equal(found, rows[nearest(X[:3], X[rows], 3).rows])


def test_a_row_can_be_left_out_of_its_own_neighbours():
    X = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)  # three times the same row four times
    found = nearest(X, X, 3, "l2").without(np.arange(12))
    assert found.rows[:5].tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [5, 6]]


def test_no_row_and_no_query():
    X = np.ones((4, 2), np.float32)
    assert nearest(X[:0], X, 3).rows.shape == (0, 3)
    assert nearest(X, X[:0], 3).rows.shape == (4, 0)


@pytest.mark.parametrize(("k", "width"), [(0, 4), (3, 5)])
def test_wrong_questions_are_refused(k, width):
    with pytest.raises(ConfigError, match="queries of as many features"):
        nearest(np.ones((2, width), np.float32), np.ones((3, 4), np.float32), k)
