"""Nearest neighbours are scikit-learn's."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from decaf.heads import knn
from decaf.heads.knn import KNN


def problem(n=120, d=8, k=4):
    rng = np.random.default_rng(0)
    y = np.arange(n) % k
    return rng.normal(size=(k, d))[y] + rng.normal(size=(n, d)), y


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("n_neighbors", [1, 5])
def test_scores_are_scikit_learns_probabilities(metric, weights, n_neighbors):
    X, y = problem()
    new = problem(n=40)[0] + 0.1
    arguments = {"n_neighbors": n_neighbors, "metric": metric, "weights": weights}
    ours = KNN(**arguments).fit(X, y)
    theirs = KNeighborsClassifier(**arguments).fit(X, y)
    np.testing.assert_allclose(ours.decision_function(new), theirs.predict_proba(new), atol=1e-6)
    distances, neighbours = ours.kneighbors(new)
    wanted, expected = theirs.kneighbors(new)
    np.testing.assert_array_equal(neighbours, expected)
    np.testing.assert_allclose(distances, wanted, atol=1e-6)


def test_neighbours_found_in_blocks_are_those_of_one_block(monkeypatch):
    X, y = problem()
    whole = KNN().fit(X, y).kneighbors(X)
    monkeypatch.setattr("decaf.heads.designs.BLOCK_BYTES", 8 * X.shape[1] * 16)
    parts = KNN().fit(X, y).kneighbors(X)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-9)
    np.testing.assert_array_equal(parts[1], whole[1])


def test_rows_of_several_labels_vote_for_each():
    X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    labels = np.array([[1, 1], [1, -1], [-1, 0]])
    scores = KNN(n_neighbors=2).fit(X, labels).decision_function(np.array([[1.0, 0.05]]))
    assert scores[0, 0] > scores[0, 1]


def test_more_neighbours_than_rows_are_refused():
    with pytest.raises(ValueError, match="n_neighbors"):
        KNN(n_neighbors=3).fit([[0.0], [1.0]], [0, 1])
    assert knn.KNN(n_neighbors=2).fit([[0.5], [1.0]], [0, 1]).classes_.tolist() == [0, 1]
