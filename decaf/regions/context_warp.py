"""R-CNN's warp: a box with some pixels of what surrounds it, squashed to a net's input.

The published code counts pixels from 1 and gives ends inclusive; so does this file inside, to be
the same to the pixel. What lies outside the image has the net's mean colour.

References
----------
Girshick et al., "Rich feature hierarchies", 2014, appendix A; ``rcnn_im_crop.m`` of their code.
"""

import math
from dataclasses import dataclass

import torch
from torch.nn.functional import interpolate

from decaf.errors import DataError
from decaf.types import FloatArray, Preprocessing

CONTEXT_PX = 16
"""Pixels around the box in the net's input."""


@dataclass(frozen=True)
class Window:
    """Which part of an image is cut out, and where it goes in the net's input.

    Attributes
    ----------
    left, top, right, bottom : int
        First and last pixel within the image, from 1.
    width, height : int
        Pixels that it is resized to.
    pad_left, pad_top : int
        Pixels of the input before it.
    """

    left: int
    top: int
    right: int
    bottom: int
    width: int
    height: int
    pad_left: int
    pad_top: int


def context_window(
    box: tuple[float, ...], size: tuple[int, int], side_px: int, context_px: int = CONTEXT_PX
) -> Window:
    """Return the window of a box.

    Parameters
    ----------
    box : tuple of float
        ``x1, y1, x2, y2``: first and last pixel, from 1.
    size : tuple of int
        Width and height of the image.
    side_px : int
        Side of the net's input.
    context_px : int
        Pixels around the box in it.

    Raises
    ------
    DataError
        If nothing of the box lies within the image.
    """
    scale = side_px / (side_px - 2 * context_px)
    left, right, width, pad_left = _axis(box[0], box[2], size[0], side_px, scale)
    top, bottom, height, pad_top = _axis(box[1], box[3], size[1], side_px, scale)
    if left > right or top > bottom:
        raise DataError(
            f"box {', '.join(f'{edge:g}' for edge in box)} (from 1, inclusive) lies outside the "
            f"image of {size[0]} x {size[1]} pixels; correct it"
        )
    return Window(left, top, right, bottom, width, height, pad_left, pad_top)


def warp_boxes(
    image: torch.Tensor,
    boxes: FloatArray,
    preprocessing: Preprocessing,
    context_px: int = CONTEXT_PX,
) -> torch.Tensor:
    """Return boxes of an image as a net's inputs.

    Parameters
    ----------
    image : torch.Tensor
        ``(3, H, W)`` uint8.
    boxes : numpy.ndarray
        ``(n, 4)`` half-open boxes, see `decaf.regions.boxes`.
    preprocessing : Preprocessing
        The net's.
    context_px : int
        Pixels around a box, in the net's input.

    Returns
    -------
    torch.Tensor
        ``(n, 3, S, S)`` float32 from 0 to 255, channels last in memory.

    Raises
    ------
    DataError
        If a box lies outside the image.
    """
    side = preprocessing.input_size_px
    _, height, width = image.shape
    pixels = image[None].float().contiguous()
    mean = 255 * torch.tensor(preprocessing.mean)
    out = torch.empty((len(boxes), side, side, 3)).copy_(mean).permute(0, 3, 1, 2)
    for crop, (x0, y0, x1, y1) in zip(out, boxes.tolist(), strict=True):
        one = context_window((x0 + 1, y0 + 1, x1, y1), (width, height), side, context_px)
        cut = pixels[:, :, one.top - 1 : one.bottom, one.left - 1 : one.right]
        resized = interpolate(cut, (one.height, one.width), mode="bilinear", align_corners=False)
        crop[:, one.pad_top :, one.pad_left :][:, : one.height, : one.width] = resized[0]
    return out


def _axis(
    first: float, last: float, size: int, side_px: int, scale: float
) -> tuple[int, int, int, int]:
    """Return the clipped first and last pixel, the resized length, and the pad before it."""
    half = (last - first + 1) / 2
    centre = first + half  # half a pixel beyond the true one, as published
    low, high = _round(centre - half * scale), _round(centre + half * scale)
    factor = side_px / (high - low + 1)
    pad = min(_round(max(0, 1 - low) * factor), side_px - 1)
    low, high = max(1, low), min(size, high)
    length = max(1, _round((high - low + 1) * factor))
    return low, high, min(length, side_px - pad), pad


def _round(value: float) -> int:
    """Round halves away from zero, as Matlab does."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))
