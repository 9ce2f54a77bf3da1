"""Nearest neighbours are scikit-learn's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from decaf.heads import fit_splits
from decaf.heads.knn import KNN
from decaf.types import Split


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
    monkeypatch.setattr("decaf.heads.features.BLOCK_BYTES", 8 * X.shape[1] * 16)
    parts = KNN().fit(X, y).kneighbors(X)
    np.testing.assert_allclose(parts[0], whole[0], atol=1e-9)
    np.testing.assert_array_equal(parts[1], whole[1])


def test_rows_of_several_labels_vote_for_each():
    X = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    labels = np.array([[1, 1], [1, -1], [-1, 0]])
    scores = KNN(n_neighbors=2).fit(X, labels).decision_function(np.array([[1.0, 0.05]]))
    assert scores[0, 0] > scores[0, 1]


def test_with_fewer_rows_than_neighbours_all_rows_vote_and_it_is_said():
    X, y = problem(n=3, k=2)
    head = KNN(n_neighbors=5).fit(X, y)
    assert head.n_neighbors_ == 3
    assert head.notes_ == ("5 neighbours asked for, 3 training rows found: all of them vote",)
    expected = KNeighborsClassifier(3, metric="cosine").fit(X, y).predict_proba(X)[:, 1]
    np.testing.assert_allclose(head.predict_proba(X)[:, 1], expected, atol=1e-6)
    (fitted,) = fit_splits(
        KNN(), X, y, [Split(np.arange(3), np.arange(3), (), 0)], c_values=([1], 1), score=None
    )
    assert fitted.notes == head.notes_


@pytest.mark.parametrize("n_neighbors", [5, 10])
def test_with_one_row_a_class_the_nearest_row_decides(n_neighbors):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(10, 20))
    new = np.repeat(centres, 5, 0) + 0.1 * rng.normal(size=(50, 20))
    head = KNN(n_neighbors=n_neighbors).fit(centres, np.arange(10))
    np.testing.assert_array_equal(head.predict(new), np.repeat(np.arange(10), 5))
    scores = head.decision_function(new)
    np.testing.assert_array_equal(scores.argmax(1), np.repeat(np.arange(10), 5))


def test_the_nearest_row_decides_between_equal_votes_only():
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    head = KNN(4, metric="euclidean").fit(X, [0, 1, 1, 0])
    assert head.predict([[0.4], [1.4]]).tolist() == [0, 1]
    head = KNN(3, metric="euclidean").fit(X, [0, 1, 1, 0])
    assert head.predict([[0.4]]).tolist() == [1]


def test_of_equal_distances_the_first_rows_are_taken():
    X = np.repeat(np.random.default_rng(0).integers(0, 2, (2, 6)), 30, 0).astype(np.float32)
    found = KNN(7, metric="euclidean").fit(X, np.arange(60) % 3).kneighbors(X[[0, 59]])[1]
    np.testing.assert_array_equal(found, [np.arange(7), np.arange(30, 37)])


_PEAK = """
from pathlib import Path
import numpy as np
from decaf.heads.knn import KNN

def resident_kb(what):
    return int(Path("/proc/self/status").read_text().split(what + ":")[1].split()[0])

X = np.random.default_rng(0).normal(size=(6000, 300)).astype(np.float32)
head = KNN(device="cpu").fit(X, np.arange(6000) % 300)
head.decision_function(X[:5])
before = resident_kb("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
head.decision_function(X)
print((resident_kb("VmHWM") - before) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc")
@pytest.mark.slow
def test_memory_does_not_grow_with_the_square_of_the_rows():
    command = [sys.executable, "-c", _PEAK]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert float(printed) < 80  # MiB; the 6000 x 6000 distances alone would be 137
