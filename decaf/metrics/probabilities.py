"""How far probabilities can be believed."""

from dataclasses import dataclass

import numpy as np

from decaf.metrics.accuracies import with_every_label
from decaf.types import FloatArray, IntArray

N_BINS = 15


def mean_log_loss(labels: IntArray, p: FloatArray, classes: IntArray) -> float:
    """Return the mean of minus the logarithm of the right answer's probability, in nats.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` class numbers, or ``(n_images, n_classes)`` of 1, -1 and 0 (not counted).
    p : numpy.ndarray
        ``(n_images, n_classes)`` probabilities.
    classes : numpy.ndarray
        ``(n_classes,)`` class numbers of the columns.

    Returns
    -------
    float
        0 or more; of several labels, the mean over all that count.
    """
    from sklearn.metrics import log_loss  # noqa: PLC0415 - takes a second: only who needs it

    p = p.astype(np.float64)
    if labels.ndim == 2:
        counted = labels != 0
        return float(log_loss(labels[counted] > 0, p[counted], labels=[False, True]))
    p, classes = with_every_label(labels, p / p.sum(1, keepdims=True), classes)
    return float(log_loss(labels, p, labels=classes))


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often a head is right, by how sure it is.

    Attributes
    ----------
    counts : numpy.ndarray
        ``(n_bins,)`` rows whose highest probability is in each of equally wide bins, from 0 to 1,
        their upper ends included.
    confidence, accuracy : numpy.ndarray
        ``(n_bins,)`` mean of that probability, and share of rows that are right; nan where a bin
        is empty.
    """

    counts: IntArray
    confidence: FloatArray
    accuracy: FloatArray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean distance of the two, weighted by rows."""
        gap = np.abs(self.accuracy - self.confidence)[self.counts > 0]
        return float(np.average(gap, weights=self.counts[self.counts > 0]))


def reliability(
    labels: IntArray, p: FloatArray, classes: IntArray, n_bins: int = N_BINS
) -> Reliability:
    """Return accuracy against confidence.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` class numbers.
    p : numpy.ndarray
        ``(n_images, n_classes)`` probabilities.
    classes : numpy.ndarray
        ``(n_classes,)`` class numbers of the columns.
    n_bins : int
        Number of bins.

    Returns
    -------
    Reliability
        The bins.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks",
    ICML 2017 (equations 2 and 3; 15 bins).
    """
    confidence, right = p.max(1).astype(np.float64), classes[p.argmax(1)] == labels
    number = np.clip(np.ceil(confidence * n_bins).astype(np.int64) - 1, 0, n_bins - 1)
    counts = np.bincount(number, minlength=n_bins)
    sums = (np.bincount(number, values, n_bins) for values in (confidence, right))
    means = [np.divide(s, counts, out=np.full(n_bins, np.nan), where=counts > 0) for s in sums]
    return Reliability(counts, *means)
