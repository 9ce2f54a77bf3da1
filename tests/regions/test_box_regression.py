import numpy as np
import pytest

from decaf.regions.box_regression import RIDGE, box_targets, fit_boxes, moved_boxes
from decaf.regions.boxes import box_iou

P, G = np.array([[10, 20, 59, 119]]), np.array([[15, 15, 74, 124]])


def test_targets_are_the_published_ones_and_lead_back():
    targets = box_targets(P, G)
    assert targets[0] == pytest.approx([0.204082, 0, 0.185717, 0.096228], abs=1e-6)
    assert moved_boxes(P, targets) == pytest.approx(G)


def drawn(n_pairs, n_features=10):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n_pairs, n_features)).astype(np.float32) * 20
    boxes = rng.uniform(0, 50, (n_pairs, 4)) + np.array([0, 0, 60, 60])
    shift = X[:, :4] * 0.2 + rng.normal(size=(n_pairs, 4))
    return X, boxes, boxes + shift


def whitened(X, boxes, objects):
    """Ridge regression as the published code writes it."""
    T = box_targets(boxes - np.array([0, 0, 1, 1]), objects - np.array([0, 0, 1, 1]))
    mean = T.mean(0)
    values, V = np.linalg.eigh((T - mean).T @ (T - mean) / len(T))
    root = np.sqrt(values + 0.001)
    X1 = np.hstack([X, np.ones((len(X), 1))]).astype(float)
    white = (T - mean) @ (V / root) @ V.T
    solved = np.linalg.solve(X1.T @ X1 + RIDGE * np.eye(X1.shape[1]), X1.T @ white)
    return X1 @ solved @ (V * root) @ V.T + mean


@pytest.mark.parametrize("n_pairs", [8, 300])
def test_the_fit_is_the_published_one_in_one_piece_or_many(n_pairs):
    X, boxes, objects = drawn(n_pairs)
    blocks = [(X[i : i + 7], boxes[i : i + 7], objects[i : i + 7]) for i in range(0, n_pairs, 7)]
    expected = moved_boxes(boxes - np.array([0, 0, 1, 1]), whitened(X, boxes, objects))
    for pairs in ([(X, boxes, objects)], blocks):
        found = fit_boxes(pairs).move(boxes, X)
        assert found - np.array([0, 0, 1, 1]) == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_moved_boxes_are_nearer_to_their_objects():
    X, boxes, objects = drawn(600)
    fitted = fit_boxes([(X[:400], boxes[:400], objects[:400])])
    before = np.diag(box_iou(boxes[400:], objects[400:])).mean()
    after = np.diag(box_iou(fitted.move(boxes[400:], X[400:]), objects[400:])).mean()
    assert after > before + 0.05
