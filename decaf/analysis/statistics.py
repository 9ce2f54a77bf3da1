"""What a layer's features look like: how sparse, how spread, how much they repeat each other."""

from dataclasses import dataclass

import numpy as np

from decaf.types import FloatArray


@dataclass(frozen=True)
class LayerStatistics:
    """Figures of one layer over a sample of images.

    Attributes
    ----------
    n_images, n_features : int
        Size of the sample and of a feature vector.
    zeros : float
        Share of all values that are exactly 0.
    dead : float
        Share of units that are 0 for every image.
    lifetime_sparseness, population_sparseness : float
        Mean of :func:`sparseness` over units (each across images) and over images (each
        across units); silent units and images do not count.
    mean, variance : float
        Mean value, and mean over units of the variance across images.
    correlation : float
        Root mean square of the correlation between two units; see :func:`rms_correlation`.
    effective_rank : float
        Of the centred features; see :func:`effective_rank`.
    norm_mean, norm_std : float
        Of the images' Euclidean norms.
    """

    n_images: int
    n_features: int
    zeros: float
    dead: float
    lifetime_sparseness: float
    population_sparseness: float
    mean: float
    variance: float
    correlation: float
    effective_rank: float
    norm_mean: float
    norm_std: float


def layer_statistics(X: FloatArray) -> LayerStatistics:
    """Return the statistics of a layer's features.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` features, three images or more.
    """
    X = X.astype(np.float64, copy=False)
    centred = X - X.mean(axis=0)
    norms = np.linalg.norm(X, axis=1)
    return LayerStatistics(
        n_images=X.shape[0],
        n_features=X.shape[1],
        zeros=float(np.mean(X == 0)),
        dead=float(np.mean(~X.any(axis=0))),
        lifetime_sparseness=_mean(sparseness(X.T)),
        population_sparseness=_mean(sparseness(X)),
        mean=float(X.mean()),
        variance=float(X.var(axis=0).mean()),
        correlation=rms_correlation(X),
        effective_rank=effective_rank(centred),
        norm_mean=float(norms.mean()),
        norm_std=float(norms.std(ddof=1)),
    )


def sparseness(X: FloatArray) -> FloatArray:
    """Return how sparse each row is: 0 if all magnitudes are equal, 1 if one value is not 0.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n, m)`` values.

    Returns
    -------
    numpy.ndarray
        ``(n,)`` values ``(1 - mean(|x|)^2 / mean(x^2)) / (1 - 1 / m)``; nan for a row of zeros.

    References
    ----------
    Vinje and Gallant, Science 287, 2000; the activity fraction is that of Treves and Rolls.
    """
    squares = np.mean(np.square(X), axis=1)
    activity: FloatArray = np.full(len(X), np.nan)
    np.divide(np.mean(np.abs(X), axis=1) ** 2, squares, out=activity, where=squares > 0)
    sparse: FloatArray = (1 - activity) / (1 - 1 / X.shape[1])
    return sparse


def effective_rank(X: FloatArray) -> float:
    """Return the exponential of the entropy of the singular values, each divided by their sum.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` values; centre them to look at their covariance.

    Returns
    -------
    float
        From 1 (one direction) to the rank (all directions alike); 0 where every value is 0.

    References
    ----------
    Roy and Vetterli, The effective rank, EUSIPCO 2007, definition 1.
    """
    values = np.sqrt(np.clip(np.linalg.eigvalsh(smaller_gram(X)), 0, None))
    total = values.sum()
    if total == 0:
        return 0.0
    shares = values[values > values.max() * _ROUNDING * max(X.shape)] / total
    return float(np.exp(-np.sum(shares * np.log(shares))))


def rms_correlation(X: FloatArray) -> float:
    """Return the root mean square of Pearson's correlation over all pairs of units.

    Independent units have ``1 / sqrt(n_images - 1)`` by chance.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` values; units that never change are left out.

    Returns
    -------
    float
        From 0 to 1; nan where fewer than two units change.
    """
    deviation = X.std(axis=0)
    changing = deviation > _ROUNDING * np.abs(X).max(axis=0)
    n_units = int(changing.sum())
    if n_units < 2:
        return float("nan")
    Z = (X[:, changing] - X[:, changing].mean(axis=0)) / deviation[changing] / len(X) ** 0.5
    # the sum of squares of Z'Z is that of ZZ', and its diagonal is 1
    squares = np.sum(np.square(smaller_gram(Z))) - n_units
    return float(np.sqrt(max(squares, 0.0) / (n_units * (n_units - 1))))


def smaller_gram(X: FloatArray) -> FloatArray:
    """Return ``X X'`` or ``X' X``, whichever is smaller; their eigenvalues but for 0 are equal.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n, m)`` values.

    Returns
    -------
    numpy.ndarray
        Square, of side ``min(n, m)``.
    """
    gram: FloatArray = X @ X.T if X.shape[0] <= X.shape[1] else X.T @ X
    return gram


_ROUNDING = float(np.sqrt(np.finfo(np.float64).eps))
"""A Gram matrix keeps half the digits of its singular values."""


def _mean(values: FloatArray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")
