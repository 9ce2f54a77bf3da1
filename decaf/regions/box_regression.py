"""Better boxes, learned from the features of proposals that are near an object.

The published code takes inclusive boxes, whose width is the difference of their edges, without
another pixel. So does this file inside.

References
----------
Girshick et al., "Rich feature hierarchies", 2014, appendix C; ``rcnn_train_bbox_regressor.m``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from decaf.types import FloatArray

MIN_IOU = 0.6
"""Proposals that train overlap an object by more."""
RIDGE = 1000.0
_EPS = float(np.finfo(np.float64).eps)


def box_targets(boxes: FloatArray, objects: FloatArray) -> FloatArray:
    """Return what turns each box into its object.

    Parameters
    ----------
    boxes, objects : numpy.ndarray
        ``(n, 4)`` inclusive boxes.

    Returns
    -------
    numpy.ndarray
        ``(n, 4)``: shifts of the centre in widths and heights of the box, and logarithms of the
        factors of width and height.
    """
    (x, y, w, h), (X, Y, W, H) = _centred(boxes), _centred(objects)
    return np.stack([(X - x) / w, (Y - y) / h, np.log(W / w), np.log(H / h)], 1)


def moved_boxes(boxes: FloatArray, targets: FloatArray) -> FloatArray:
    """Return inclusive boxes that are moved by targets; see `box_targets`."""
    x, y, w, h = _centred(boxes)
    dx, dy, dw, dh = targets.T
    cx, cy, half_w, half_h = x + dx * w, y + dy * h, w * np.exp(dw) / 2, h * np.exp(dh) / 2
    return np.stack([cx - half_w, cy - half_h, cx + half_w, cy + half_h], 1)


@dataclass(frozen=True, eq=False)
class BoxRegression:
    """What turns the features of a class's boxes into targets.

    Attributes
    ----------
    weights : numpy.ndarray
        ``(n_features + 1, 4)`` float32, the last row for a feature of value 1.
    offset : numpy.ndarray
        ``(4,)`` float32.
    """

    weights: FloatArray
    offset: FloatArray

    def move(self, boxes: FloatArray, X: FloatArray) -> FloatArray:
        """Return half-open boxes moved by what their features say.

        Parameters
        ----------
        boxes : numpy.ndarray
            ``(n, 4)`` half-open boxes.
        X : numpy.ndarray
            ``(n, n_features)`` their features.
        """
        targets = X @ self.weights[:-1] + (self.weights[-1] + self.offset)
        last = np.array([0, 0, 1, 1])
        moved: FloatArray = moved_boxes(np.asarray(boxes, np.float64) - last, targets) + last
        return moved


def fit_boxes(pairs: Iterable[tuple[FloatArray, FloatArray, FloatArray]]) -> BoxRegression:
    """Fit ridge regression to whitened targets.

    Parameters
    ----------
    pairs : iterable of (numpy.ndarray, numpy.ndarray, numpy.ndarray)
        Features ``(n, n_features)`` of some boxes, these ``(n, 4)`` and the object ``(n, 4)`` that
        each is near, half-open; block after block, of which no more than sums are kept.

    Returns
    -------
    BoxRegression
        Whitening is undone in it.
    """
    # whitening multiplies the targets from the right, and its inverse the solution: what is left
    # of it is their mean
    last = np.array([0, 0, 1, 1])
    sums = _Sums()
    for X, boxes, objects in pairs:
        targets = box_targets(boxes - last, objects - last)
        sums.add(np.concatenate([X, np.ones((len(X), 1), X.dtype)], 1), targets)
    weights, mean = sums.solve()
    return BoxRegression(weights.astype(np.float32), mean.astype(np.float32))


class _Sums:
    """What ridge regression needs of rows: the rows, while they are fewer than their features."""

    def __init__(self) -> None:
        self.rows: list[tuple[FloatArray, FloatArray]] = []
        self.gram: FloatArray | None = None
        self.moment: FloatArray = np.zeros(0)
        self.total: FloatArray = np.zeros(5)

    def add(self, X: FloatArray, T: FloatArray) -> None:
        T = np.concatenate([T, np.ones((len(T), 1))], 1)
        self.rows.append((X, T))
        self.total = self.total + T.sum(0)
        if self.gram is None and self.total[4] <= X.shape[1]:
            return
        if self.gram is None:
            self.gram = np.zeros((X.shape[1],) * 2, X.dtype)
            self.moment = np.zeros((X.shape[1], 5))
        for some, targets in self.rows:
            self.gram += some.T @ some
            self.moment += some.T @ targets.astype(some.dtype)
        self.rows = []

    def solve(self) -> tuple[FloatArray, FloatArray]:
        """Return ``(n_features, 4)`` weights, and the mean target."""
        mean = self.total[:4] / self.total[4]
        if self.gram is not None:
            right = self.moment[:, :4] - self.moment[:, 4:] * mean
            return _ridge(self.gram, right), mean
        X, T = (np.concatenate(parts) for parts in zip(*self.rows, strict=True))
        weights: FloatArray = X.T @ _ridge(X @ X.T, T[:, :4] - mean)
        return weights, mean


def _ridge(gram: FloatArray, right: FloatArray) -> FloatArray:
    ridge = np.asarray(gram, np.float64).copy()
    ridge[np.diag_indices_from(ridge)] += RIDGE
    solved: FloatArray = cho_solve(cho_factor(ridge, overwrite_a=True), right)
    return solved


def _centred(boxes: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    x0, y0, x1, y1 = np.asarray(boxes, np.float64).T
    width, height = x1 - x0 + _EPS, y1 - y0 + _EPS
    return x0 + width / 2, y0 + height / 2, width, height
