"""Measures of how well scores fit labels, and their spread over splits.

Accuracies and precisions are fractions in [0, 1]; nan where there is no case to measure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

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
    return _mean([float(np.mean(predicted[labels == c] == c)) for c in classes])


def average_precision_11pt(
    labels: IntArray, scores: FloatArray, n_present: int | None = None
) -> float:
    """Return one class's average precision as VOC 2007 defines it.

    The mean over the recalls 0, 0.1, ..., 1 of the highest precision at that recall or a higher
    one. Rows with equal scores are one threshold, so that the order of rows does not matter; the
    devkit, which takes them in the order of its list, agrees where no scores are equal.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` 1 (present), -1 (absent) or 0 ("difficult", counts as neither).
    scores : numpy.ndarray
        ``(n_images,)`` scores, higher meaning more likely present.
    n_present : int, optional
        Number of what is to be found, where some of it has no row; the rows that are present if
        not given.

    Returns
    -------
    float
        Average precision; nan where nothing is present.

    References
    ----------
    PASCAL VOC 2007 development kit, ``VOCevalcls.m``.
    """
    n_present = int((labels > 0).sum()) if n_present is None else n_present
    if not n_present:
        return float("nan")
    hits, precision = _hits_and_precision(labels, scores)
    # 10 * hits >= i * n_present is recall >= i / 10 without rounding; 0 where it is not reached
    first = np.searchsorted(10 * hits, np.arange(11) * n_present)
    return float(np.mean(np.append(_envelope(precision), 0)[first]))


def average_precision_area(
    labels: IntArray, scores: FloatArray, n_present: int | None = None
) -> float:
    """Return one class's average precision as VOC 2010 and later define it.

    The area under the precision-recall curve made monotone from the right. Equal scores are one
    threshold, as in :func:`average_precision_11pt`.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images,)`` 1 (present), -1 (absent) or 0 ("difficult", counts as neither).
    scores : numpy.ndarray
        ``(n_images,)`` scores, higher meaning more likely present.
    n_present : int, optional
        Number of what is to be found, where some of it has no row; the rows that are present if
        not given.

    Returns
    -------
    float
        Average precision; nan where nothing is present.

    References
    ----------
    PASCAL VOC 2010 development kit; ``xVOCap.m`` of R-CNN.
    """
    n_present = int((labels > 0).sum()) if n_present is None else n_present
    if not n_present:
        return float("nan")
    hits, precision = _hits_and_precision(labels, scores)
    return float(np.sum(np.diff(hits, prepend=0) * _envelope(precision)) / n_present)


def _hits_and_precision(labels: IntArray, scores: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return positives found and precision at each distinct score, from the highest down."""
    counted = labels != 0
    positive, scores = labels[counted] > 0, scores[counted]
    if not positive.any():
        return np.empty(0, np.int64), np.empty(0)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last_of_ties = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), len(order) - 1)
    hits = np.cumsum(positive[order])[last_of_ties]
    return hits, hits / (last_of_ties + 1)


def _envelope(precision: FloatArray) -> FloatArray:
    return np.maximum.accumulate(precision[::-1])[::-1]


AveragePrecision = Callable[[IntArray, FloatArray], float]


def per_class_ap(
    labels: IntArray, scores: FloatArray, average_precision: AveragePrecision
) -> FloatArray:
    """Return each class's average precision.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images, n_classes)`` of 1, -1 and 0.
    scores : numpy.ndarray
        ``(n_images, n_classes)`` scores.
    average_precision : callable
        :func:`average_precision_11pt` or :func:`average_precision_area`.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` average precisions; nan for a class that no row has.
    """
    return np.array([average_precision(y, s) for y, s in zip(labels.T, scores.T, strict=True)])


def mean_ap(labels: IntArray, scores: FloatArray, average_precision: AveragePrecision) -> float:
    """Return the mean average precision over the classes that some row has.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images, n_classes)`` of 1, -1 and 0.
    scores : numpy.ndarray
        ``(n_images, n_classes)`` scores.
    average_precision : callable
        :func:`average_precision_11pt` or :func:`average_precision_area`.

    Returns
    -------
    float
        Mean average precision.
    """
    values = per_class_ap(labels, scores, average_precision)
    return _mean(values[~np.isnan(values)])


def _mean(values: Sequence[float] | FloatArray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


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


@dataclass(frozen=True)
class Metric:
    """A measure that a protocol can name.

    Attributes
    ----------
    name : str
        Key in :data:`METRICS` and in result files.
    label : str
        What a report calls it.
    score : callable
        ``score(labels, scores, classes) -> float``. For one label an image: ``(n_images,)``
        labels, ``decision_function``'s scores (one column where there are two classes) and the
        head's ``classes_``. For several: the label and score matrices; `classes` is not used.
    per_class : callable
        ``per_class(labels, scores, classes, n_classes) -> (n_classes,) array`` of accuracies or
        average precisions; nan for a class without a case.
    other : str
        Name of the metric that is reported beside this one.
    """

    name: str
    label: str
    score: Callable[[IntArray, FloatArray, IntArray], float]
    per_class: Callable[[IntArray, FloatArray, IntArray, int], FloatArray]
    other: str


def _top1(labels: IntArray, scores: FloatArray, classes: IntArray) -> float:
    return accuracy(labels, predicted_classes(scores, classes))


def _mean_per_class(labels: IntArray, scores: FloatArray, classes: IntArray) -> float:
    return mean_per_class_accuracy(labels, predicted_classes(scores, classes))


def _per_class(
    labels: IntArray, scores: FloatArray, classes: IntArray, n_classes: int
) -> FloatArray:
    return per_class_accuracy(labels, predicted_classes(scores, classes), n_classes)


def _ap_metric(name: str, label: str, rule: AveragePrecision, other: str) -> Metric:
    return Metric(
        name,
        label,
        score=lambda labels, scores, _: mean_ap(labels, scores, rule),
        per_class=lambda labels, scores, _, __: per_class_ap(labels, scores, rule),
        other=other,
    )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mean_per_class", "mean per-class accuracy", _mean_per_class, _per_class, "top1"),
        Metric("top1", "top-1 accuracy", _top1, _per_class, "mean_per_class"),
        _ap_metric("map_11pt", "mAP (11-point)", average_precision_11pt, "map_area"),
        _ap_metric("map_area", "mAP (area)", average_precision_area, "map_11pt"),
    )
}
"""Every metric by its name."""


@dataclass(frozen=True)
class Summary:
    """A measure over splits.

    Attributes
    ----------
    mean : float
        Mean.
    std : float
        Sample standard deviation (``ddof=1``); nan for one value.
    n : int
        Number of values.
    ci95_low, ci95_high : float
        Student's t interval of the mean; nan for one value. It covers the drawing of splits only,
        and too little of that: splits of one data set share images.
    """

    mean: float
    std: float
    n: int
    ci95_low: float
    ci95_high: float


def summary(values: Sequence[float]) -> Summary:
    """Return mean, deviation and 95 % interval of a measure over splits.

    Parameters
    ----------
    values : sequence of float
        One value per split, at least one.

    Returns
    -------
    Summary
        The values' summary.
    """
    n = len(values)
    mean = float(np.mean(values))
    if n == 1:
        return Summary(mean, float("nan"), 1, float("nan"), float("nan"))
    std = float(np.std(values, ddof=1))
    half = float(stdtrit(n - 1, 0.975)) * std / n**0.5
    return Summary(mean, std, n, mean - half, mean + half)
