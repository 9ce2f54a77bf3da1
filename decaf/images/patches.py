"""Square patches of an image at several scales, and what each shows.

References
----------
M. Oquab, L. Bottou, I. Laptev and J. Sivic, "Learning and transferring mid-level image
representations using convolutional neural networks", CVPR 2014 (section 3.3).
"""

import math
from dataclasses import dataclass

import numpy as np

from decaf.types import FloatArray, IntArray, PatchRule

MIN_OF_PATCH = 0.2
"""An object covers at least this share of the patches that are labelled by it."""
MIN_OF_OBJECT = 0.6
"""A patch holds at least this share of the object that it is labelled by."""


@dataclass(frozen=True)
class DenseGrid:
    """The windows that one pass of a convolutional net over a larger image makes at once.

    Attributes
    ----------
    side_px : int
        Side of a window: the net's input.
    stride_px : int
        Pixels from one window to the next.
    """

    side_px: int
    stride_px: int


def patch_boxes(width: int, height: int, rule: PatchRule) -> FloatArray:
    """Return the patches of an image.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels.
    rule : PatchRule
        Scales, overlap, number and edges.

    Returns
    -------
    numpy.ndarray
        ``(n_patches, 4)`` float32 boxes ``x0, y0, x1, y1`` in pixels, 0-based, end exclusive: scale
        after scale, each row after row. With ``reflect`` they reach beyond the image.

    Raises
    ------
    ConfigError
        If the rule makes no sense.
    """
    found = []
    for scale in rule.scales:
        side = max(1, round(min(width, height) / scale))
        beyond = side // 2 if rule.edges == "reflect" else 0
        x, y = (_starts(size, side, beyond, rule.overlap) for size in (width, height))
        corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
        found.append(np.concatenate([corners, corners + side], axis=1))
    return _spread(np.concatenate(found).astype(np.float32), rule.per_image)


def dense_boxes(width: int, height: int, rule: PatchRule, grid: DenseGrid) -> FloatArray:
    """Return the patches of an image that dense passes make, as `patch_boxes` does."""
    scales = dense_scales(width, height, rule, grid)
    return _spread(np.concatenate([scale.boxes for scale in scales]), rule.per_image)


def _spread(boxes: FloatArray, n_boxes: int | None) -> FloatArray:
    if n_boxes is None or n_boxes >= len(boxes):
        return boxes
    return boxes[np.arange(n_boxes) * len(boxes) // n_boxes]


@dataclass(frozen=True, eq=False)
class DenseScale:
    """One scale of an image for such a pass.

    Attributes
    ----------
    resized : tuple of int
        Height and width in pixels that the image is resized to.
    margins : tuple of int
        Pixels beyond the left, top, right and bottom edge; negative ones are cut off.
    columns, rows : numpy.ndarray
        Numbers of the windows that are kept along each axis, in steps of the grid's stride.
    boxes : numpy.ndarray
        ``(len(rows) * len(columns), 4)`` float32 boxes in the image as it is, row after row.
    """

    resized: tuple[int, int]
    margins: tuple[int, int, int, int]
    columns: IntArray
    rows: IntArray
    boxes: FloatArray


def dense_scales(width: int, height: int, rule: PatchRule, grid: DenseGrid) -> list[DenseScale]:
    """Return how the patches of an image are made by one pass for each scale.

    The image is resized so that a patch is as large as the net's input. Where its sides are not
    whole numbers of strides, less than a stride is cut off evenly, or added by mirroring with
    ``reflect``.

    Parameters
    ----------
    width, height : int
        Size of the image in pixels.
    rule : PatchRule
        Scales, overlap and edges.
    grid : DenseGrid
        The net's.

    Raises
    ------
    ConfigError
        If the rule makes no sense.
    """
    return [_dense_scale(width, height, scale, rule, grid) for scale in rule.scales]


def _dense_scale(
    width: int, height: int, scale: float, rule: PatchRule, grid: DenseGrid
) -> DenseScale:
    side, stride = grid.side_px, grid.stride_px
    factor = side * scale / min(width, height)
    sizes = [max(side, round(factor * size)) for size in (width, height)]
    starts, margins = [], []
    for size in sizes:
        steps = (size - side) / stride
        n_steps = math.ceil(steps) if rule.edges == "reflect" else math.floor(steps)
        beyond = side + n_steps * stride - size
        margins.append((beyond // 2, beyond - beyond // 2))
        far = max(1, math.floor(side * (1 - rule.overlap) / stride))
        starts.append(np.rint(np.linspace(0, n_steps, math.ceil(n_steps / far) + 1)).astype(int))
    (left, right), (top, bottom) = margins
    x, y = (s * stride - m for s, m in zip(starts, (left, top), strict=True))
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corners, corners + side], axis=1)
    back = np.array([width / sizes[0], height / sizes[1]] * 2)
    return DenseScale(
        resized=(sizes[1], sizes[0]),
        margins=(left, top, right, bottom),
        columns=starts[0],
        rows=starts[1],
        boxes=(boxes * back).astype(np.float32),
    )


def _starts(size: int, side: int, beyond: int, overlap: float) -> IntArray:
    """Return evenly spaced first pixels of patches that together cover a side of the image."""
    first, last = -beyond, size - side + beyond
    step = max(1, math.floor(side * (1 - overlap)))
    n_patches = math.ceil((last - first) / step) + 1
    return np.rint(np.linspace(first, last, n_patches)).astype(np.int64)


def label_patches(
    patches: FloatArray, objects: FloatArray, labels: IntArray, background: int
) -> IntArray:
    """Return the label of each patch: that of the one object that it shows, else background.

    A patch shows an object if the object covers at least `MIN_OF_PATCH` of the patch and the
    patch holds at least `MIN_OF_OBJECT` of the object. One that shows two is background.

    Parameters
    ----------
    patches : numpy.ndarray
        ``(n_patches, 4)`` boxes ``x0, y0, x1, y1`` in pixels.
    objects : numpy.ndarray
        ``(n_objects, 4)`` boxes of the objects.
    labels : numpy.ndarray
        ``(n_objects,)`` class numbers.
    background : int
        Class number of patches that show none, or several.

    Returns
    -------
    numpy.ndarray
        ``(n_patches,)`` int64 class numbers.
    """
    found = np.full(len(patches), background, np.int64)
    if not len(objects):
        return found
    common = _intersections(patches, objects)
    shown = common >= MIN_OF_PATCH * _areas(patches)[:, None]
    shown &= common >= MIN_OF_OBJECT * _areas(objects)
    one = shown.sum(axis=1) == 1
    found[one] = labels[shown[one].argmax(axis=1)]
    return found


def intersections_over_unions(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Return the intersection over union of each pair of boxes.

    Parameters
    ----------
    boxes, others : numpy.ndarray
        ``(n, 4)`` and ``(m, 4)`` boxes ``x0, y0, x1, y1``.

    Returns
    -------
    numpy.ndarray
        ``(n, m)`` shares in [0, 1].
    """
    common = _intersections(boxes, others)
    shares: FloatArray = common / (_areas(boxes)[:, None] + _areas(others) - common)
    return shares


def _intersections(boxes: FloatArray, others: FloatArray) -> FloatArray:
    a, b = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    areas: FloatArray = np.clip(sides, 0, None).prod(axis=-1)
    return areas


def _areas(boxes: FloatArray) -> FloatArray:
    areas: FloatArray = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).prod(axis=1)
    return areas
