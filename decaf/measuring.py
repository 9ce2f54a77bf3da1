"""From the scores of a split's test rows to what a result says of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError
from decaf.finetuning import FINETUNE
from decaf.heads.scores import calibrate
from decaf.metrics import METRICS, Metric, confusion, predicted_classes
from decaf.metrics.bootstrap import ScoredRows, interval, resampled
from decaf.metrics.kept_scores import KeptScores
from decaf.protocols import PublishedProtocol
from decaf.rowwise import probabilities
from decaf.types import FloatArray, ImageDataset, IntArray

_LOGITS = ("logreg", "logreg-dropout", "adaptation", FINETUNE)

HeldOut = Callable[[], tuple[FloatArray, IntArray] | None]
"""Returns the scores and labels of training rows that were held out, if any can be."""


def head_probabilities(
    head: str, scores: FloatArray, classes: IntArray, *, exclusive: bool, summed: bool,
    held_out: HeldOut,
) -> FloatArray:  # fmt: skip
    """Return the probabilities of a head's scores.

    Those of logistic heads and of fine-tuned nets are logits, those of nearest neighbours are
    votes. Margins of other heads, and sums over views, are calibrated on training rows that were
    held out: see `decaf.heads.matrices.calibrate`.

    Parameters
    ----------
    head : str
        Its name.
    scores : numpy.ndarray
        ``(n, n_classes)``, or ``(n,)`` where there are two classes.
    classes : numpy.ndarray
        Class numbers of the columns.
    exclusive : bool
        Whether images have one label.
    summed : bool
        Whether scores are summed over the views of an image.
    held_out : callable
        Is called where calibration needs it.

    Returns
    -------
    numpy.ndarray
        ``(n, n_classes)``; empty where nothing could be held out.
    """
    if head == "knn" and not summed:
        if exclusive and scores.ndim == 2:
            return scores
        share = (1 + scores) / 2
        return share if scores.ndim == 2 else np.stack([1 - share, share], axis=1)
    if head not in _LOGITS or summed:
        found = held_out()
        if found is None:
            return np.empty((0, 0))
        factors, offsets = calibrate(*found, classes)
        scores = scores * factors + offsets
    return probabilities(scores, exclusive=exclusive)


def refuse_without_probabilities(metrics: Sequence[str], rule: PublishedProtocol) -> None:
    """Refuse metrics of probabilities where an image's score is pooled from those of its patches.

    Raises
    ------
    ConfigError
        If there is one.
    """
    of_probabilities = [name for name in metrics if METRICS[name].of == "probabilities"]
    if of_probabilities and rule.patches is not None:
        raise ConfigError(
            f"asked for the metric {of_probabilities[0]}, found protocol {rule.name}, in which the "
            "score of an image is pooled from patches and is no probability; leave it out"
        )


def names_of_rows(names: Sequence[str], rows: IntArray) -> npt.NDArray[np.object_]:
    """Return the names of some rows; one long name does not make all of them as wide."""
    return np.array([names[row] for row in rows.tolist()], dtype=object)


def groups_of_rows(table: ImageDataset, rows: IntArray) -> npt.NDArray[np.object_] | None:
    """Return what each of some rows belongs to: its group, or the image that several are of."""
    of = table.groups
    if of is None and table.boxes is not None:
        of = table.image_ids
    names = None if of is None else names_of_rows(of, rows)
    return None if names is None or len(set(names)) == len(names) else names


def measured(kept: KeptScores, metric: Metric, more: Sequence[str], *, seed: int) -> dict[str, Any]:
    """Return the fields of a result that follow from the scores of its test rows.

    Parameters
    ----------
    kept : KeptScores
        The scores.
    metric : Metric
        The protocol's.
    more : sequence of str
        Keys of the other metrics that are asked for.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict
        By name of the field.
    """
    labels, scores, classes = kept.labels, kept.scores, kept.classes
    value = metric.score(labels, scores, classes)
    tested = ScoredRows(labels, [scores], [classes], kept.groups if len(kept.groups) else None)
    drawn = resampled(tested, metric.name, seed=seed)[0]
    low, high = interval(drawn, value, of_precision=metric.labels == "several")
    return {
        "value": value,
        "other_metric": metric.other,
        "other_value": METRICS[metric.other].score(labels, scores, classes),
        "more": tuple(
            (name, kept.measure(name) if _known(kept, METRICS[name]) else float("nan"))
            for name in more
        ),
        "boot_low": low,
        "boot_high": high,
        "boot_over": tested.over,
        "per_class": tuple(_per_class(kept, metric, more)),
        "confusion": tuple(_confusion(kept)),
    }


def _known(kept: KeptScores, metric: Metric) -> bool:
    return metric.of == "scores" or kept.probabilities.size > 0


def _per_class(
    kept: KeptScores, metric: Metric, more: Sequence[str]
) -> Iterator[tuple[str, str, float]]:
    """Yield the values of single classes, in all metrics that differ for a class."""
    done = []
    for one in (metric, METRICS[metric.other], *(METRICS[name] for name in more)):
        if one.per_class is None or one.per_class in done or not _known(kept, one):
            continue
        done.append(one.per_class)
        given = kept.scores if one.of == "scores" else kept.probabilities
        values = one.per_class(kept.labels, given, kept.classes, len(kept.class_names))
        for name, value in zip(kept.class_names.tolist(), values, strict=True):
            if not np.isnan(value):
                yield one.name, name, float(value)


def _confusion(kept: KeptScores) -> Iterator[tuple[str, str, int, str]]:
    """Yield how often each class was taken for each, where an image has one label."""
    if kept.labels.ndim == 2:
        return
    predicted = predicted_classes(kept.scores, kept.classes)
    for label, taken_for, count, first in confusion(kept.labels, predicted):
        names = str(kept.class_names[label]), str(kept.class_names[taken_for])
        yield *names, count, str(kept.ids[first])
