"""Measures of how well scores fit labels, and how far a measure can be trusted.

Accuracies and precisions are fractions in [0, 1]; nan where there is no case to measure. Read
`named` (every metric by its name), then `bootstrap` (intervals for one split).
"""

from decaf.metrics.accuracies import (
    accuracy,
    confusion,
    mean_per_class_accuracy,
    per_class_accuracy,
    predicted_classes,
)
from decaf.metrics.average_precision import (
    average_precision_11pt,
    average_precision_area,
    mean_ap,
    per_class_ap,
)
from decaf.metrics.named import METRICS, Metric, asked_metrics
from decaf.metrics.probabilities import mean_log_loss, reliability
from decaf.metrics.ranks import per_class_auroc, per_class_f1, top5_accuracy
from decaf.metrics.summaries import Summary, summary

__all__ = [
    "METRICS",
    "Metric",
    "Summary",
    "accuracy",
    "asked_metrics",
    "average_precision_11pt",
    "average_precision_area",
    "confusion",
    "mean_ap",
    "mean_log_loss",
    "mean_per_class_accuracy",
    "per_class_accuracy",
    "per_class_ap",
    "per_class_auroc",
    "per_class_f1",
    "predicted_classes",
    "reliability",
    "summary",
    "top5_accuracy",
]
