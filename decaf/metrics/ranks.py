"""Top-5, F1 and AUROC, where classes may be absent and labels may not count."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from decaf.metrics.accuracies import predicted_classes, with_every_label
from decaf.types import FloatArray, IntArray


def top5_accuracy(labels: IntArray, scores: FloatArray, classes: IntArray) -> float:
    """Return the share of rows whose class has one of the five highest scores.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` class numbers.
    scores : numpy.ndarray
        ``(n_images, n_classes)`` scores, of more than five classes; of equal scores the later
        classes are the higher.
    classes : numpy.ndarray
        ``(n_classes,)`` class numbers of the columns.

    Returns
    -------
    float
        Share in [0, 1].
    """
    from sklearn.metrics import top_k_accuracy_score  # noqa: PLC0415 - takes a second: only who needs it

    scores, classes = with_every_label(labels, scores, classes)
    return float(top_k_accuracy_score(labels, scores, k=5, labels=classes))


def per_class_f1(
    labels: IntArray, scores: FloatArray, classes: IntArray, n_classes: int
) -> FloatArray:
    """Return each class's harmonic mean of precision and recall.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` class numbers, or ``(n_images, n_classes)`` of 1, -1 and 0 (not counted).
    scores : numpy.ndarray
        Scores; an image of several labels is taken to have those with scores above 0.
    classes : numpy.ndarray
        Class numbers of the columns.
    n_classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` values; nan for a class that no row has and none is taken for.
    """
    if labels.ndim == 1:
        from sklearn.metrics import f1_score  # noqa: PLC0415 - takes a second: only who needs it

        predicted, every = predicted_classes(scores, classes), np.arange(n_classes)
        found: FloatArray = f1_score(
            labels, predicted, labels=every, average=None, zero_division=np.nan
        )
        return found
    present, said = labels > 0, scores > 0
    hits, cases = (present & said).sum(0), present.sum(0) + (said & (labels != 0)).sum(0)
    f1: FloatArray = np.full(n_classes, np.nan)
    np.divide(2 * hits, cases, out=f1, where=cases > 0)
    return f1


def per_class_auroc(
    labels: IntArray, scores: FloatArray, classes: IntArray, n_classes: int
) -> FloatArray:
    """Return the area under each class's curve of true against false positives, one against rest.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` class numbers, or ``(n_images, n_classes)`` of 1, -1 and 0 (not counted).
    scores : numpy.ndarray
        ``(n_images, len(classes))`` probabilities, or other scores.
    classes : numpy.ndarray
        Class numbers of the columns.
    n_classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` areas; nan for a class that no row has, or every row.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 - takes a second: only who needs it

    found: FloatArray = np.full(n_classes, np.nan)
    for c, (y, s) in enumerate(_one_against_rest(labels, scores, classes, n_classes)):
        n = np.count_nonzero(y)
        if 0 < n < len(y):  # Mann and Whitney's statistic, of pairs
            found[c] = (rankdata(s)[y].sum() - n * (n + 1) / 2) / (n * (len(y) - n))
    return found


def _one_against_rest(
    labels: IntArray, scores: FloatArray, classes: IntArray, n_classes: int
) -> Iterator[tuple[npt.NDArray[np.bool_], FloatArray]]:
    """Yield, for each class, which rows have it and their scores, of the rows that count."""
    if labels.ndim == 2:
        for y, s in zip(labels.T, scores.T, strict=True):
            yield y[y != 0] > 0, s[y != 0]
        return
    scores, classes = with_every_label(labels, scores, classes)
    columns = dict(zip(classes.tolist(), scores.T, strict=True))
    for c in range(n_classes):
        yield labels == c, columns.get(c, np.zeros(len(labels)))
