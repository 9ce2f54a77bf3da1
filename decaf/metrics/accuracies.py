"""Shares of rows whose class is predicted right, and which class is taken for which."""

import numpy as np

from decaf.types import FloatArray, IntArray


def accuracy(labels: IntArray, predicted: IntArray) -> float:
    """Return the share of rows whose class is predicted right (top-1).

    Parameters
    ----------
    labels, predicted : numpy.ndarray
        ``(n_images,)`` class numbers.

    Returns
    -------
    float
        Share in [0, 1].
    """
    return float(np.mean(labels == predicted)) if len(labels) else float("nan")


def per_class_accuracy(labels: IntArray, predicted: IntArray, n_classes: int) -> FloatArray:
    """Return each class's share of rows that are predicted right.

    Parameters
    ----------
    labels, predicted : numpy.ndarray
        ``(n_images,)`` class numbers below `n_classes`.
    n_classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` shares; nan for a class without rows.
    """
    total = np.bincount(labels, minlength=n_classes)
    right = np.bincount(labels[labels == predicted], minlength=n_classes)
    shares: FloatArray = np.full(n_classes, np.nan)
    np.divide(right, total, out=shares, where=total > 0)
    return shares


def mean_per_class_accuracy(labels: IntArray, predicted: IntArray) -> float:
    """Return the mean over classes of the share of each class's rows predicted right.

    Classes without rows in `labels` do not count.

    Parameters
    ----------
    labels, predicted : numpy.ndarray
        ``(n_images,)`` class numbers.

    Returns
    -------
    float
        Share in [0, 1].
    """
    classes = np.unique(labels)
    return mean_of(np.array([np.mean(predicted[labels == c] == c) for c in classes]))


def mean_of(values: FloatArray) -> float:
    """Return the mean of the values of those classes that have a case: nan does not count."""
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else float("nan")


def predicted_classes(scores: FloatArray, classes: IntArray) -> IntArray:
    """Return the class with the highest score of each row.

    Parameters
    ----------
    scores : numpy.ndarray
        ``(n_images, n_classes)``, or ``(n_images,)`` where there are two classes.
    classes : numpy.ndarray
        ``(n_classes,)`` class numbers of the columns.

    Returns
    -------
    numpy.ndarray
        ``(n_images,)`` class numbers.
    """
    column = (scores > 0).astype(np.int64) if scores.ndim == 1 else np.argmax(scores, axis=1)
    predicted: IntArray = classes[column]
    return predicted


def with_every_label(
    labels: IntArray, scores: FloatArray, classes: IntArray
) -> tuple[FloatArray, IntArray]:
    """Return scores, one column a class, with the lowest one for labels that a head does not know.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` class numbers.
    scores : numpy.ndarray
        ``(n_images, n_classes)``, or ``(n_images,)`` where there are two classes.
    classes : numpy.ndarray
        ``(n_classes,)`` class numbers of the columns, ascending.

    Returns
    -------
    numpy.ndarray
        ``(n_images, n)`` scores.
    numpy.ndarray
        ``(n,)`` class numbers, ascending.
    """
    if scores.ndim == 1:
        scores = np.stack([np.zeros_like(scores), scores], axis=1)
    every = np.union1d(classes, labels)
    found = np.full((len(scores), len(every)), scores.min(initial=0), scores.dtype)
    found[:, np.searchsorted(every, classes)] = scores
    return found, every


def confusion(labels: IntArray, predicted: IntArray) -> list[tuple[int, int, int, int]]:
    """Return how often each class is taken for each.

    Parameters
    ----------
    labels, predicted : numpy.ndarray
        ``(n_images,)`` class numbers.

    Returns
    -------
    list of (int, int, int, int)
        Class, predicted class, number of rows, and the first of these rows, for every pair that
        occurs, right ones included; in ascending order.
    """
    pairs = np.stack([labels, predicted], axis=1)
    cells, first, counts = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    columns = (cells[:, 0], cells[:, 1], counts, first)
    return list(zip(*(column.tolist() for column in columns), strict=True))
