"""Boxes that may hold an object, whatever it is.

References
----------
Uijlings et al., "Selective search for object recognition", IJCV 2013; of its groupings those that
Girshick et al. use (2014, section 2.1; ``selective_search_boxes.m``).
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torchvision.transforms.v2 import functional

from decaf.extras import missing_extra
from decaf.regions.boxes import box_iou, sides
from decaf.types import FloatArray

MIN_SIDE_PX = 20
WIDEST_PX = 500
"""Wider images are searched at this width, as the published ones are; the method knows no scale."""
_SIGMA, _SIZES = 0.8, (50, 100)  # of the graph segmentation: its k, and the least region
_STRATEGIES = (("Color", "Fill", "Texture", "Size"), ("Fill", "Texture", "Size"))
_GRID_SCALES, _GRID_ASPECTS, _GRID_STEP = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0), (0.5, 1.0, 2.0), 0.25


def selective_search(image: torch.Tensor, key: str = "") -> FloatArray:
    """Return the boxes of the regions of eight groupings of an image.

    They are in HSV and Lab, with a k of 50 and of 100, by colour and without it.

    Parameters
    ----------
    image : torch.Tensor
        ``(3, H, W)`` uint8 RGB.
    key : str
        What the order follows from, such as the image's id.

    Returns
    -------
    numpy.ndarray
        ``(n, 4)`` float32 half-open boxes, each once, both sides at least 20 px where it is
        searched. OpenCV's order is drawn without a seed, and does not tell the level of a region.
        This one is by the rank of the area, the largest first, times a seeded random number; the
        published one by the rank in the hierarchy.

    Raises
    ------
    ConfigError
        If OpenCV's contributed modules are not installed.
    """
    height, width = image.shape[1:]
    small = image
    if width > WIDEST_PX:
        size = [max(1, round(height * WIDEST_PX / width)), WIDEST_PX]
        small = functional.resize(image, size, antialias=True)
    x, y, w, h = _regions(np.ascontiguousarray(small.permute(1, 2, 0).numpy())).T
    wide = (w >= MIN_SIDE_PX) & (h >= MIN_SIDE_PX)
    found = np.unique(np.stack([x, y, x + w, y + h], 1)[wide], axis=0).astype(np.float64)
    back = np.array([width / small.shape[2], height / small.shape[1]] * 2)
    boxes = (found * back).astype(np.float32)
    rank = 1 + np.argsort(np.argsort(-sides(boxes).prod(1), kind="stable"))
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    chance = np.random.default_rng(seed).random(len(boxes))
    ordered: FloatArray = boxes[np.argsort(rank * chance, kind="stable")]
    return ordered


def sliding_grid(width: int, height: int) -> FloatArray:
    """Return windows of six sizes and three shapes all over an image.

    Returns
    -------
    numpy.ndarray
        ``(n, 4)`` float32 half-open boxes, the largest first; neighbours are a quarter of a side
        apart.
    """
    found = []
    for scale in _GRID_SCALES:
        for aspect in _GRID_ASPECTS:
            side = min(width, height) / scale
            w, h = min(side * aspect**0.5, width), min(side / aspect**0.5, height)
            x, y = (_starts(size, one) for size, one in ((width, w), (height, h)))
            corners = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
            found.append(np.concatenate([corners, corners + np.array([w, h])], 1))
    return np.concatenate(found).astype(np.float32)


def proposal_recall(
    proposals: Iterable[FloatArray], truth: Iterable[FloatArray], counts: Sequence[int | None]
) -> dict[int | None, FloatArray]:
    """Return how many objects some box overlaps enough, by the number of boxes of an image.

    Parameters
    ----------
    proposals, truth : iterable of numpy.ndarray
        ``(n, 4)`` half-open boxes of each image.
    counts : sequence of int or None
        How many of an image's first boxes are taken; None: all.

    Returns
    -------
    dict of int or None to numpy.ndarray
        ``(10,)`` shares of the objects, at IoU 0.5, 0.55, ..., 0.95; nan without objects.
    """
    best: dict[int | None, list[FloatArray]] = {count: [] for count in counts}
    for boxes, objects in zip(proposals, truth, strict=True):
        overlaps = box_iou(objects, boxes)
        for count in counts:
            best[count].append(overlaps[:, :count].max(1, initial=0))
    limits = np.linspace(0.5, 0.95, 10)
    reached = {count: np.concatenate([np.zeros(0), *each]) for count, each in best.items()}
    return {
        count: (each[:, None] >= limits - 1e-9).mean(0) if len(each) else np.full(10, np.nan)
        for count, each in reached.items()
    }


def _regions(pixels: Any) -> Any:
    """Return ``(n, 4)`` x, y, width, height, by objects that no other image has seen.

    OpenCV's strategies keep what they compute of an image, and do not notice another one.
    """
    try:
        import cv2  # noqa: PLC0415 - an extra

        library = cv2.ximgproc.segmentation
    except (ImportError, AttributeError) as error:  # other packages of OpenCV lack the module
        raise missing_extra("selective search", "detect") from error
    search = library.createSelectiveSearchSegmentation()
    for space in (cv2.COLOR_RGB2HSV_FULL, cv2.COLOR_RGB2Lab):
        search.addImage(cv2.cvtColor(pixels, space))
    for size in _SIZES:
        search.addGraphSegmentation(library.createGraphSegmentation(_SIGMA, float(size), size))
    for names in _STRATEGIES:
        make = [getattr(library, f"createSelectiveSearchSegmentationStrategy{n}") for n in names]
        several = library.createSelectiveSearchSegmentationStrategyMultiple
        search.addStrategy(several(*(one() for one in make)))
    return np.asarray(search.process()).reshape(-1, 4)


def _starts(size: float, side: float) -> FloatArray:
    n_steps = int(np.ceil((size - side) / (_GRID_STEP * side) - 1e-9))
    starts: FloatArray = np.linspace(0, size - side, n_steps + 1)
    return starts
