"""How few of a representation's leading directions tell the labels: kernel analysis."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from decaf.errors import DataError
from decaf.types import FloatArray, IntArray

QUANTILES = (0.1, 0.5, 0.9)
"""Of all squared distances: the widths of the kernel that are tried."""

N_SAMPLES = 5


@dataclass(frozen=True, eq=False)
class KernelCurve:
    """Kernel analysis of one layer.

    Attributes
    ----------
    n_rows : int
        Rows of each sample, N; scores of different N are not to be compared.
    scores : numpy.ndarray
        ``(n_samples,)``: one minus the mean error; higher is better. A single one where the
        sample is all rows.
    errors : numpy.ndarray
        ``(N + 1,)``: the samples' mean error with the first d directions.
    """

    n_rows: int
    scores: FloatArray
    errors: FloatArray


def kernel_curve(X: FloatArray, labels: IntArray, n_rows: int = 500, seed: int = 0) -> KernelCurve:
    """Return the error of labels predicted from the first d kernel directions, for every d.

    It is the mean of up to five samples, in which classes are as even as may be.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n, n_features)`` features.
    labels : numpy.ndarray
        ``(n,)`` class numbers, or ``(n, n_classes)`` where 1 is present.
    n_rows : int
        Rows of a sample; all where there are fewer. The cost grows with its cube.
    seed : int
        Of the samples.

    Raises
    ------
    DataError
        No class tells rows apart, or all features are alike.

    References
    ----------
    Montavon, Braun and Müller, Kernel analysis of deep networks, JMLR 2011; Cadieu et al., Deep
    neural networks rival the representation of primate IT cortex, 2014, and its benchmark's code.
    """
    n_rows = min(n_rows, len(X))
    rng = np.random.default_rng(seed)
    samples = [even_rows(labels, n_rows, rng) for _ in range(N_SAMPLES if n_rows < len(X) else 1)]
    curves = np.array([kernel_errors(X[rows], labels[rows]) for rows in samples])
    return KernelCurve(n_rows, 1 - curves.mean(1), curves.mean(0))


def even_rows(labels: IntArray, n_rows: int, rng: np.random.Generator) -> IntArray:
    """Return rows drawn so that classes are as even as may be; of several labels at random."""
    order = rng.permutation(len(labels))
    if labels.ndim == 2:
        return np.sort(order[:n_rows])
    turn = np.empty(len(labels), np.int64)  # a class's first rows come before its second ones
    for label in np.unique(labels):
        own = labels[order] == label
        turn[own] = np.arange(own.sum())
    return np.sort(order[np.argsort(turn, kind="stable")[:n_rows]])


def kernel_errors(X: FloatArray, labels: IntArray) -> FloatArray:
    """Return ``(n + 1,)``: the share of the labels' variance that d directions leave.

    Labels are a column of 1 and -1 for each class, less its mean, all divided by their standard
    deviation. Directions are the eigenvectors of the centred Gaussian kernel, whose squared width
    is a quantile of all squared distances; at each d the best of `QUANTILES` counts. A quantile of
    0, as of a sample of few rows, makes no kernel and is left out.

    Raises
    ------
    DataError
        No class tells rows apart, or all features are alike.
    """
    present = labels > 0 if labels.ndim == 2 else labels[:, None] == np.unique(labels)
    T = np.where(present, 1.0, -1.0)
    T -= T.mean(0)
    squared = cdist(X, X, "sqeuclidean")
    widths = [width for width in np.quantile(squared, QUANTILES) if width > 0]
    if not T.any() or not widths:
        raise DataError(
            f"asked for kernel analysis of {len(X)} images, found one class, or features that are "
            "all alike; give several classes"
        )
    T /= T.std()
    curves = [_errors(np.exp(-squared / width), T) for width in widths]
    least: FloatArray = np.min(curves, axis=0)
    return least


def _errors(K: FloatArray, T: FloatArray) -> FloatArray:
    K = K - K.mean(0) - K.mean(1, keepdims=True) + K.mean()
    values, vectors = eigh(K, overwrite_a=True, check_finite=False)
    order = np.argsort(-np.abs(values), kind="stable")
    explained = ((vectors.T @ T) ** 2).sum(1)[order] / T.size
    errors: FloatArray = np.clip(1 - np.concatenate([[0.0], np.cumsum(explained)]), 0, None)
    return errors
