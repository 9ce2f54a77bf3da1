"""Boxes: how much two overlap, which of many stand for an object.

decaf's boxes are ``x0, y0, x1, y1`` in pixels, 0-based and half-open: the end is exclusive. VOC's
are inclusive: 1-based, of the first and the last pixel. A half-open box less 1 at its end is the
inclusive one counted from 0, and both have the same IoU, each by its own rule.
"""

import numpy as np
import torch
from torchvision import ops

from decaf.types import FloatArray, IntArray


def box_iou(a: FloatArray, b: FloatArray, *, inclusive: bool = False) -> FloatArray:
    """Return the intersection over union of each box with each of others.

    Parameters
    ----------
    a, b : numpy.ndarray
        ``(n, 4)`` and ``(m, 4)`` boxes.
    inclusive : bool
        Whether ends are the last pixels, so that a side has one more pixel than their difference.

    Returns
    -------
    numpy.ndarray
        ``(n, m)`` float64; 0 where a box has no area.
    """
    first, second = (_half_open(boxes, inclusive) for boxes in (a, b))
    iou: FloatArray = ops.box_iou(first, second).nan_to_num_(0).numpy()
    return iou


def max_iou(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Return the largest IoU ``(n,)`` of each half-open box with others; 0 where there are none."""
    largest: FloatArray = box_iou(boxes, others).max(1, initial=0)
    return largest


def nms(boxes: FloatArray, scores: FloatArray, iou: float, *, inclusive: bool = False) -> IntArray:
    """Return the boxes that no box of a higher score overlaps by more than a share.

    Parameters
    ----------
    boxes : numpy.ndarray
        ``(n, 4)`` boxes.
    scores : numpy.ndarray
        ``(n,)`` scores.
    iou : float
        The largest IoU with a box that is kept.
    inclusive : bool
        As for `box_iou`.

    Returns
    -------
    numpy.ndarray
        Numbers of the boxes that are kept, the highest score first.

    References
    ----------
    Girshick et al., "Rich feature hierarchies", 2014, section 2.2: 0.3, on inclusive boxes.
    """
    ranked = torch.from_numpy(np.asarray(scores, np.float64))
    kept: IntArray = ops.nms(_half_open(boxes, inclusive), ranked, iou).numpy()
    return kept


def clipped(boxes: FloatArray, width: int, height: int) -> FloatArray:
    """Return half-open boxes cut to an image; a box that lies outside it is left without area."""
    cut: FloatArray = np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))
    return cut


def sides(boxes: FloatArray) -> FloatArray:
    """Return the width and height ``(n, 2)`` of half-open boxes."""
    return boxes[:, 2:] - boxes[:, :2]


def _half_open(boxes: FloatArray, inclusive: bool) -> torch.Tensor:
    found = torch.from_numpy(np.array(boxes, np.float64).reshape(-1, 4))
    found[:, 2:] += inclusive
    return found
