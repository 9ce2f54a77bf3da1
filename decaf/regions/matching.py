"""What detections count for, by VOC's rule.

References
----------
Everingham et al., "The Pascal visual object classes challenge", 2010, section 4.2;
``VOCevaldet.m`` of the development kit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from decaf.metrics import average_precision_11pt, average_precision_area
from decaf.regions.boxes import box_iou
from decaf.types import FloatArray, IntArray

MIN_IOU = 0.5
"""A detection is of an object that it overlaps so much."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The objects of one class in one image.

    Attributes
    ----------
    boxes : numpy.ndarray
        ``(n, 4)`` half-open boxes.
    difficult : numpy.ndarray
        ``(n,)`` bool: finding it counts as nothing, missing it too.
    """

    boxes: FloatArray
    difficult: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Matched:
    """The detections of one class in all images, the highest score first.

    Attributes
    ----------
    hits : numpy.ndarray
        ``(n,)`` 1 (right), -1 (false) or 0 (of a difficult object: counts as neither).
    scores : numpy.ndarray
        ``(n,)`` scores.
    order : numpy.ndarray
        ``(n,)`` their numbers as they were given.
    overlaps : numpy.ndarray
        ``(n,)`` IoU of each with the object that it overlaps most.
    n_objects : int
        Objects that are not difficult.
    """

    hits: IntArray
    scores: FloatArray
    order: IntArray
    overlaps: FloatArray
    n_objects: int

    @property
    def ap_11pt(self) -> float:
        """Average precision as VOC 2007 defines it; nan where there is no object."""
        return average_precision_11pt(self.hits, self.scores, self.n_objects)

    @property
    def ap_area(self) -> float:
        """Average precision as VOC 2010 and later define it."""
        return average_precision_area(self.hits, self.scores, self.n_objects)


def match_detections(
    images: IntArray,
    boxes: FloatArray,
    scores: FloatArray,
    truth: Sequence[Truth],
    min_iou: float = MIN_IOU,
) -> Matched:
    """Decide what each detection of a class is.

    Each is given to the object of its image that it overlaps most, the highest score first. The
    first one of an object is right, the others are false.

    Parameters
    ----------
    images : numpy.ndarray
        ``(n,)`` number of each detection's image.
    boxes : numpy.ndarray
        ``(n, 4)`` half-open boxes.
    scores : numpy.ndarray
        ``(n,)`` scores.
    truth : sequence of Truth
        The class's objects in each image.
    min_iou : float
        The least IoU with an object.

    Returns
    -------
    Matched
        Their hits.
    """
    order = np.argsort(-scores, kind="stable")
    overlaps, nearest = _nearest(images[order], boxes[order], truth)
    hits = np.full(len(order), -1)
    taken = set()
    for place in np.flatnonzero(overlaps >= min_iou).tolist():
        one = int(images[order[place]]), int(nearest[place])
        if truth[one[0]].difficult[one[1]]:
            hits[place] = 0
        elif one not in taken:
            hits[place] = 1
            taken.add(one)
    n_objects = sum(int((~one.difficult).sum()) for one in truth)
    return Matched(hits, scores[order], order, overlaps, n_objects)


def _nearest(
    images: IntArray, boxes: FloatArray, truth: Sequence[Truth]
) -> tuple[FloatArray, IntArray]:
    """Return the largest IoU of each box with an object of its image, and which object that is."""
    overlaps, nearest = np.zeros(len(images)), np.zeros(len(images), np.int64)
    by_image = np.argsort(images, kind="stable")
    _, starts = np.unique(images[by_image], return_index=True)
    for rows in np.split(by_image, starts)[1:]:
        iou = box_iou(boxes[rows], truth[int(images[rows[0]])].boxes)
        if iou.shape[1]:
            overlaps[rows], nearest[rows] = iou.max(1), iou.argmax(1)
    return overlaps, nearest
