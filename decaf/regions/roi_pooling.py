"""Features of boxes pooled from one map of the whole image.

References
----------
He et al., "Spatial pyramid pooling in deep convolutional networks", 2014, section 3 (the pyramid).
Girshick, "Fast R-CNN", 2015, section 2.1 (RoI max pooling; image sides of 600 and 1000).
"""

import numpy as np
import torch
from torchvision import ops
from torchvision.transforms.v2 import functional

from decaf.types import FloatArray

SHORT_PX, LONG_PX = 600, 1000
"""The shorter side of an image is resized to the first, unless the longer exceeds the second."""
PYRAMID = (1, 2, 3, 6)
"""SPP's grids: 50 cells."""


def roi_scaled(image: torch.Tensor, short_px: int = SHORT_PX) -> torch.Tensor:
    """Return a ``(3, H, W)`` uint8 image resized for one pass, its aspect kept."""
    short, long = sorted(image.shape[1:])
    factor = min(short_px / short, short_px * LONG_PX / SHORT_PX / long)
    size = [max(1, round(side * factor)) for side in image.shape[1:]]
    resized: torch.Tensor = functional.resize(image, size, antialias=True)
    return resized


def roi_features(
    maps: torch.Tensor, boxes: FloatArray, cells: tuple[int, int], scale: tuple[float, float]
) -> torch.Tensor:
    """Return the largest value of each channel in each cell of each box.

    Parameters
    ----------
    maps : torch.Tensor
        ``(channels, h, w)`` float32 of an image.
    boxes : numpy.ndarray
        ``(n, 4)`` half-open boxes in pixels of the image.
    cells : tuple of int
        Rows and columns of a box's grid.
    scale : tuple of float
        Places of the map a pixel of the image, along x and y.

    Returns
    -------
    torch.Tensor
        ``(n, channels, *cells)``. Edges are rounded to places, a box covers one at least.
    """
    if not len(boxes):
        return maps.new_empty((0, len(maps), *cells))
    # roi_pool takes the first and the last place
    placed = torch.from_numpy(np.asarray(boxes, np.float32) - np.array([0, 0, 1, 1], np.float32))
    placed = placed * torch.tensor([*scale, *scale])
    pooled: torch.Tensor = ops.roi_pool(maps[None], [placed.to(maps)], cells, 1.0)
    return pooled


def spp_features(maps: torch.Tensor, boxes: FloatArray, scale: tuple[float, float]) -> torch.Tensor:
    """Return ``(n, 50 * channels)`` features of a spatial pyramid, level after level.

    Parameters
    ----------
    maps, boxes, scale : torch.Tensor, numpy.ndarray, tuple of float
        As for `roi_features`.
    """
    levels = (roi_features(maps, boxes, (n, n), scale) for n in PYRAMID)
    return torch.cat([level.flatten(1) for level in levels], 1)
