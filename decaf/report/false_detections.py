"""What false detections are of, as a figure."""

import numpy as np
from matplotlib.figure import Figure

from decaf.detection import DetectionResult, error_counts
from decaf.detection.error_types import ERROR_TYPES
from decaf.escapes import figure_text
from decaf.report.drawing import COLOURS, WIDTH_IN, house_style


def error_figure(result: DetectionResult) -> Figure:
    """Draw for each class the shares of its false detections, by what they are of.

    Parameters
    ----------
    result : DetectionResult
        What `decaf.detection.evaluate_detector` returned.
    """
    counts = error_counts(result)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    with house_style():
        figure = Figure((WIDTH_IN, 0.9 + 0.26 * len(counts)), layout="constrained")
        axes = figure.subplots()
        left = np.zeros(len(counts))
        for kind, share, colour in zip(ERROR_TYPES, shares.T, COLOURS, strict=False):
            axes.barh(range(len(counts)), share, left=left, color=colour, label=kind, height=0.7)
            left += share
        rows = zip(result.class_names, counts.sum(1).tolist(), strict=True)
        axes.set_yticks(range(len(counts)), [figure_text(f"{name} ({n})") for name, n in rows])
        axes.invert_yaxis()
        axes.set_xlim(0, 100)
        axes.set_xlabel("per cent of the false detections with the highest scores (their number)")
        axes.grid(visible=False, axis="y")
        axes.legend(ncols=len(ERROR_TYPES), loc="lower left", bbox_to_anchor=(0, 1))
    return figure
