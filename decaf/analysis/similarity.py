"""How alike two layers are, whatever their width: linear centred kernel alignment."""

from collections.abc import Sequence

import numpy as np

from decaf.errors import DataError
from decaf.types import FloatArray


def linear_cka(X: FloatArray, Y: FloatArray, *, debiased: bool = False) -> float:
    """Return the linear centred kernel alignment of two layers over the same images.

    Parameters
    ----------
    X, Y : numpy.ndarray
        ``(n_images, n_features)`` features with the same images in the same order.
    debiased : bool
        Use the unbiased estimate of the dot products; else wide layers look alike where there
        are few images.

    Returns
    -------
    float
        1 for layers that are equal but for rotation and scale, about 0 for unrelated ones (which
        the debiased estimate can go below); nan where a layer does not change.

    Raises
    ------
    DataError
        The numbers of images differ, or there are fewer than 4.

    References
    ----------
    Kornblith et al., Similarity of neural network representations revisited, ICML 2019,
    equation 4; the unbiased dot product is that of Song et al., 2012, in Szekely and Rizzo's
    form (2014).
    """
    return float(cka_matrix([X, Y], debiased=debiased)[0, 1])


def cka_matrix(layers: Sequence[FloatArray], *, debiased: bool = False) -> FloatArray:
    """Return the linear centred kernel alignment of every two layers.

    Parameters
    ----------
    layers : sequence of numpy.ndarray
        ``(n_images, n_features)`` features each, with the same images in the same order.
    debiased : bool
        As in :func:`linear_cka`.

    Returns
    -------
    numpy.ndarray
        ``(n_layers, n_layers)``, symmetric.

    Raises
    ------
    DataError
        As :func:`linear_cka`.
    """
    counts = sorted({len(X) for X in layers})
    if len(counts) != 1 or counts[0] < 4:
        raise DataError(
            f"asked how alike layers of {' and '.join(map(str, counts))} images are; give the "
            "same images for all, 4 or more"
        )
    grams = [_centred_gram(X, debiased=debiased).ravel() for X in layers]
    products = np.array([[np.dot(K, L) for L in grams] for K in grams])
    norms = np.sqrt(np.clip(np.diag(products), 0, None))
    scale = np.outer(norms, norms)
    similarity: FloatArray = np.full_like(scale, np.nan)
    np.divide(products, scale, out=similarity, where=scale > 0)
    return similarity


def _centred_gram(X: FloatArray, *, debiased: bool) -> FloatArray:
    """Return the images' dot products about their mean; with diagonal 0 where debiased."""
    X = X.astype(np.float64, copy=False)
    centred = X - X.mean(axis=0)
    scale = np.sqrt(np.mean(np.square(centred)))
    if scale <= np.finfo(np.float32).eps * np.abs(X).max():  # nothing but rounding is left
        return np.zeros((len(X), len(X)))
    centred /= scale
    gram: FloatArray = centred @ centred.T
    if not debiased:
        return gram
    n = len(gram)
    np.fill_diagonal(gram, 0.0)
    sums = gram.sum(axis=0)
    gram -= (sums[:, None] + sums[None, :]) / (n - 2) - sums.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(gram, 0.0)
    return gram
