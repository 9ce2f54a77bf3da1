"""The metrics by name: what protocols choose C by, and what is measured beside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from decaf.choices import check_choice
from decaf.errors import ConfigError
from decaf.metrics.accuracies import (
    accuracy,
    mean_of,
    mean_per_class_accuracy,
    per_class_accuracy,
    predicted_classes,
)
from decaf.metrics.average_precision import (
    AveragePrecision,
    average_precision_11pt,
    average_precision_area,
    mean_ap,
    per_class_ap,
)
from decaf.metrics.probabilities import mean_log_loss, reliability
from decaf.metrics.ranks import per_class_auroc, per_class_f1, top5_accuracy
from decaf.types import OF_KIND, FloatArray, IntArray, LabelKind

Score = Callable[[IntArray, FloatArray, IntArray], float]
PerClass = Callable[[IntArray, FloatArray, IntArray, int], FloatArray]
Measure = Callable[[FloatArray, FloatArray], float]


@dataclass(frozen=True)
class Metric:
    """A measure of scores against labels.

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
    per_class : callable or None
        ``per_class(labels, scores, classes, n_classes) -> (n_classes,) array`` of the values of
        single classes, nan for a class without a case; None where a class has no value.
    other : str
        Name of the metric that is reported beside this one; empty for one that no protocol names.
    labels : str
        ``"one"`` or ``"several"`` an image, ``"any"`` of both, or ``"number"``.
    of : str
        Whether it takes ``"scores"`` or ``"probabilities"``.
    is_share : bool
        Whether it is a share, which reports give in per cent.
    """

    name: str
    label: str
    score: Score
    per_class: PerClass | None = None
    other: str = ""
    labels: Literal[LabelKind, "any"] = "one"
    of: Literal["scores", "probabilities"] = "scores"
    is_share: bool = True


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
        labels="several",
    )


def _mean_of_classes(per_class: PerClass) -> Score:
    def score(labels: IntArray, scores: FloatArray, classes: IntArray) -> float:
        n_classes = 1 + max(np.max(labels, initial=0), np.max(classes, initial=0))
        return mean_of(per_class(labels, scores, classes, int(n_classes)))

    return score


def _ece(labels: IntArray, p: FloatArray, classes: IntArray) -> float:
    return reliability(labels, p, classes).error


def _number_metric(
    name: str, label: str, measure: Measure, other: str, *, is_share: bool = False
) -> Metric:
    """Return a metric of numbers to predict; scores are what is predicted of them."""
    return Metric(
        name,
        label,
        score=lambda labels, scores, _: float(
            measure(labels[:, 0].astype(np.float64), scores[:, 0])
        ),
        other=other,
        labels="number",
        is_share=is_share,
    )


def _r2(labels: FloatArray, predicted: FloatArray) -> float:
    from sklearn.metrics import r2_score  # noqa: PLC0415 - takes a second: only who needs it

    return float(r2_score(labels, predicted))


def _mean_absolute_error(labels: FloatArray, predicted: FloatArray) -> float:
    return float(np.abs(labels - predicted).mean())


def _rank_correlation(labels: FloatArray, predicted: FloatArray) -> float:
    from scipy.stats import spearmanr  # noqa: PLC0415 - takes a second: only who needs it

    if np.ptp(predicted) == 0:  # as where nothing was learned
        return float("nan")
    return float(spearmanr(labels, predicted).statistic)


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("mean_per_class", "mean per-class accuracy", _mean_per_class, _per_class, "top1"),
        Metric("top1", "top-1 accuracy", _top1, _per_class, "mean_per_class"),
        _ap_metric("map_11pt", "mAP (11-point)", average_precision_11pt, "map_area"),
        _ap_metric("map_area", "mAP (area)", average_precision_area, "map_11pt"),
        Metric("top5", "top-5 accuracy", top5_accuracy),
        Metric("macro_f1", "macro F1", _mean_of_classes(per_class_f1), per_class_f1, labels="any"),
        Metric(
            "auroc",
            "AUROC",
            _mean_of_classes(per_class_auroc),
            per_class_auroc,
            labels="any",
            of="probabilities",
        ),
        Metric(
            "log_loss",
            "log loss",
            mean_log_loss,
            labels="any",
            of="probabilities",
            is_share=False,
        ),
        Metric("ece", "calibration error (ECE)", _ece, of="probabilities"),
        _number_metric("r2", "R2", _r2, other="mae", is_share=True),
        _number_metric("mae", "mean absolute error", _mean_absolute_error, other="r2"),
        _number_metric("spearman", "Spearman's rank correlation", _rank_correlation, other="r2"),
    )
}
"""Every metric by its name."""

SAME = {"accuracy": "top1", "balanced_accuracy": "mean_per_class", "map": "map_area"}
"""Other words for some."""


def asked_metrics(names: Sequence[str], kind: LabelKind, n_classes: int) -> tuple[str, ...]:
    """Return the keys of the metrics that are asked for.

    Parameters
    ----------
    names : sequence of str
        Keys of :data:`METRICS` or of :data:`SAME`, with ``-`` or ``_``.
    kind : str
        What the labels are; see `decaf.types.label_kind`.
    n_classes : int
        Number of classes.

    Returns
    -------
    tuple of str
        Keys, each once.

    Raises
    ------
    ConfigError
        If there is none of a name, or it does not measure such labels.
    """
    known = {key.replace("_", "-"): key for key in METRICS}
    known |= {word.replace("_", "-"): key for word, key in SAME.items()}
    found = []
    for name in names:
        word = name.replace("_", "-")
        check_choice("metric", word, tuple(known))
        metric = METRICS[known[word]]
        fits = kind != "number" if metric.labels == "any" else metric.labels == kind
        if not fits:
            raise ConfigError(
                f"asked for the metric {word}, found {OF_KIND[kind]}, and it is for "
                f"{OF_KIND[metric.labels]}; leave it out"
            )
        if metric.name == "top5" and n_classes <= 5:
            raise ConfigError(
                f"asked for the metric {word}, found {n_classes} classes, of which every one is "
                "among the first five; leave it out"
            )
        found.append(metric.name)
    return tuple(dict.fromkeys(found))
