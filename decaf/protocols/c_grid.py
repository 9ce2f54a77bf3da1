"""Values of C to choose from, where none are published."""

import math

import numpy as np

from decaf.choices import Normalize
from decaf.types import FloatArray, IntArray


def scaled_grid(
    X: FloatArray, rows: IntArray, normalize: Normalize
) -> tuple[tuple[float, ...], float]:
    """Return decades that follow the features' scale, and the C where none can be chosen.

    A linear head does not change when its features are multiplied by s and its C divided by s^2
    (but for the intercept), and nets differ in scale by orders of magnitude. So C is chosen among
    the decades 1e-3 to 1e4 divided by the features' mean squared norm, rounded to a decade; with
    unit norms these are 1e-3 to 1e4.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_images, n_features)`` features, normalised if they are to be so by row.
    rows : numpy.ndarray
        Training rows; about a thousand of them are looked at.
    normalize : str
        ``"standard"`` says their scale, whatever it is.

    Returns
    -------
    tuple of float
        The grid, ascending.
    float
        One of its values, as where one shot leaves nothing to hold out.
    """
    if normalize == "standard":
        squared_norm = float(X.shape[1])
    else:
        some = X[rows[:: 1 + len(rows) // 1000]].astype(np.float64)
        squared_norm = float(np.mean(np.sum(some**2, axis=1)))
    decade = round(math.log10(squared_norm)) if squared_norm > 0 else 0
    return tuple(10.0 ** (i - decade) for i in range(-3, 5)), 10.0**-decade
