"""How well features would transfer, without training a head: the LogME score."""

import numpy as np

from decaf.errors import DataError
from decaf.types import FloatArray, IntArray, label_kind

_ITERATIONS = 200
_TOLERANCE = 1e-6
_NOISELESS = 1e9
"""Precision of 0/1 labels that features fit exactly; it would grow for ever."""
_FLAT = 1e9
"""Where features tell nothing, the best prior is all at 0: this much tighter than the data is."""


def logme(X: FloatArray, labels: IntArray) -> float:
    """Return the maximum log evidence of labels given features, per image and class.

    Each class's 0/1 column is regressed on the features; prior and noise are those under which
    the column is most likely. Higher is better; compare layers over the same images only.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` features.
    labels : numpy.ndarray
        ``(n_images,)`` class numbers, or ``(n_images, n_classes)`` where 1 is present.

    Returns
    -------
    float
        Mean over classes that some images have and some have not.

    Raises
    ------
    DataError
        No class tells images apart, or every feature is 0.

    References
    ----------
    You et al., LogME: Practical assessment of pre-trained models for transfer learning, ICML
    2021, section 4.2 and algorithm 1.
    """
    Y = _columns(labels)
    if not Y.shape[1] or not X.any():
        raise DataError(
            f"asked for LogME of {len(X)} images, found {Y.shape[1]} classes that some of them "
            "have and some have not, or features that are all 0; give several classes"
        )
    return float(np.mean(_log_evidence(X.astype(np.float64, copy=False), Y)) / len(X))


def _columns(labels: IntArray) -> FloatArray:
    if label_kind(labels) == "number":
        return labels.astype(np.float64)
    present = labels > 0 if labels.ndim == 2 else labels[:, None] == np.unique(labels)
    Y: FloatArray = present.astype(np.float64)
    return Y[:, (Y.min(axis=0) == 0) & (Y.max(axis=0) == 1)]


def _log_evidence(X: FloatArray, Y: FloatArray) -> FloatArray:
    """Return ``(n_classes,)`` log evidences, each at its own prior and noise."""
    # y = X w + noise, w ~ N(0, 1 / alpha), noise ~ N(0, 1 / beta); alpha, beta are (n_classes,).
    # In X's singular vectors all is diagonal: s2 is (rank,), z = U'y is (rank, n_classes).
    n, d = X.shape
    U, s, _ = np.linalg.svd(X, full_matrices=False)
    kept = s > s[0] * np.finfo(np.float64).eps * max(X.shape)
    s2, z2 = s[kept, None] ** 2, (U[:, kept].T @ Y) ** 2
    outside = np.clip(np.sum(Y**2, axis=0) - z2.sum(axis=0), 0, None)
    alpha, beta = np.ones(Y.shape[1]), np.ones(Y.shape[1])
    for _ in range(_ITERATIONS):
        gamma, w2, error = _fixed_point(s2, z2, outside, alpha, beta)
        new_beta = np.minimum((n - gamma) / error, _NOISELESS)
        new_alpha = np.minimum(gamma / w2, _FLAT * new_beta * s2[0])
        moved = max(np.abs(np.log(new_alpha / alpha)).max(), np.abs(np.log(new_beta / beta)).max())
        alpha, beta = new_alpha, new_beta
        if moved < _TOLERANCE:
            break
    _, w2, error = _fixed_point(s2, z2, outside, alpha, beta)
    log_det = np.log(alpha + beta * s2).sum(axis=0) + (d - len(s2)) * np.log(alpha)
    evidence: FloatArray = (
        n * np.log(beta / (2 * np.pi)) + d * np.log(alpha) - beta * error - alpha * w2 - log_det
    ) / 2
    return evidence


def _fixed_point(
    s2: FloatArray, z2: FloatArray, outside: FloatArray, alpha: FloatArray, beta: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the effective number of weights, their squared norm and the squared error."""
    shrunk = alpha + beta * s2
    gamma = (beta * s2 / shrunk).sum(axis=0)
    w2 = (beta**2 * s2 * z2 / shrunk**2).sum(axis=0)
    error = (z2 * (alpha / shrunk) ** 2).sum(axis=0) + outside
    tiny = np.finfo(np.float64).tiny
    return gamma, np.maximum(w2, tiny), np.maximum(error, tiny)
