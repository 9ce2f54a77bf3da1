"""What false detections are of.

References
----------
Hoiem, Chodpathumwan and Dai, "Diagnosing error in object detectors", ECCV 2012, as Girshick et al.
use it (2014, section 3.4).
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from decaf.detection.detecting import DetectionResult
from decaf.regions.boxes import max_iou
from decaf.types import FloatArray, IntArray

ErrorType = Literal["location", "similar", "other", "background"]
ERROR_TYPES: tuple[ErrorType, ...] = get_args(ErrorType)
SIMILAR = (
    ("bird", "cat", "cow", "dog", "horse", "sheep"),
    ("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"),
    ("chair", "diningtable", "sofa"),
)
"""VOC's animals, vehicles and furniture."""
_LEAST_IOU = 0.1


def error_counts(result: DetectionResult, similar: Sequence[Sequence[str]] = SIMILAR) -> IntArray:
    """Count what the first false detections of each class are of.

    Of a class with n objects the n highest-scoring false detections count.

    Parameters
    ----------
    result : DetectionResult
        What `decaf.detection.evaluate_detector` returned.
    similar : sequence of sequences of str
        Classes that are like each other.

    Returns
    -------
    numpy.ndarray
        ``(n_classes, 4)``: ``location`` (IoU of 0.1 or more with an object of the class: badly
        placed, or found twice), ``similar`` (with one of a similar class), ``other`` (with any
        other), ``background``.
    """
    names = result.class_names
    counts = np.zeros((len(names), len(ERROR_TYPES)), np.int64)
    for number, (matched, found) in enumerate(zip(result.matched, result.found, strict=True)):
        like = {name for group in similar if names[number] in group for name in group}
        near = np.array([name in like for name in names])
        false = matched.order[matched.hits < 0][: matched.n_objects]
        for row in false.tolist():
            objects = result.images.objects[int(found.images[row])]
            kinds = [
                objects.labels == number,
                near[objects.labels] & (objects.labels != number),
                ~near[objects.labels] & (objects.labels != number),
            ]
            box = found.boxes[row : row + 1]
            counts[number, _first(box, [objects.boxes[kind] for kind in kinds])] += 1
    return counts


def _first(box: FloatArray, by_kind: Sequence[FloatArray]) -> int:
    """Return the number of the first kind with an object that a box reaches, else their number."""
    reached = [bool(max_iou(box, objects)[0] >= _LEAST_IOU) for objects in by_kind]
    return [*reached, True].index(True)
