"""Average precision by the two definitions of Pascal VOC."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array

from decaf.metrics.accuracies import mean_of
from decaf.types import FloatArray, IntArray


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
    ends = _last_of_ties(scores[order])
    hits = np.cumsum(positive[order])[ends]
    return hits, hits / (ends + 1)


def _last_of_ties(ordered: FloatArray) -> IntArray:
    """Return the place of the last of each run of equal scores."""
    return np.flatnonzero(np.append(ordered[1:] != ordered[:-1], [True] * (len(ordered) > 0)))


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
    return mean_of(per_class_ap(labels, scores, average_precision))


def resampled_ap(labels: IntArray, scores: FloatArray, drawn: IntArray, rule: str) -> FloatArray:
    """Return the mean average precision of resamples of rows.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n_images, n_classes)`` of 1, -1 and 0.
    scores : numpy.ndarray
        ``(n_images, n_classes)`` scores.
    drawn : numpy.ndarray
        ``(n_resamples, n_images)`` how often each resample holds each row.
    rule : str
        ``"map_area"`` or ``"map_11pt"``.

    Returns
    -------
    numpy.ndarray
        ``(n_resamples,)`` means over the classes that a resample has.
    """
    total, known = np.zeros(len(drawn)), np.zeros(len(drawn))
    drawn = np.ascontiguousarray(drawn.T, dtype=np.float32)
    for y, s in zip(labels.T, scores.T, strict=True):
        rows = np.flatnonzero(y != 0)
        rows = rows[np.argsort(-s[rows], kind="stable")]
        positive = y[rows] > 0
        if not positive.any():
            continue
        run = np.searchsorted(_last_of_ties(s[rows]), np.arange(len(rows)))
        steps = np.unique(run[positive])  # elsewhere the precision only falls
        step = np.searchsorted(steps, run)
        seen, hits = (
            csr_array((np.ones(len(some), np.float32), (step[some], rows[some])),
                      shape=(len(steps), len(drawn))) @ drawn
            for some in (np.flatnonzero(step < len(steps)), np.flatnonzero(positive))
        )  # fmt: skip
        has = hits.any(0)
        seen, hits = seen[:, has].cumsum(0), hits[:, has].cumsum(0)
        precision = np.maximum.accumulate((hits / np.maximum(seen, 1))[::-1], axis=0)[::-1]
        if rule == "map_area":
            total[has] += (np.diff(hits, prepend=0, axis=0) * precision).sum(0) / hits[-1]
        else:
            for i in range(11):
                first = (10 * hits >= i * hits[-1]).argmax(0)
                total[has] += precision[first, np.arange(len(first))] / 11
        known += has
    mean: FloatArray = np.divide(total, known, out=np.full(len(known), np.nan), where=known > 0)
    return mean
