"""An image as a net's input in training: a random crop, mirrored half the time.

The kernels are torchvision's `transforms.v2`. Its classes draw from the process's one generator,
which threads share; here each image has a generator of its own, so that a run that was stopped
goes on as if it had not been.
"""

import math

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from decaf.types import Preprocessing

RATIO = (3 / 4, 4 / 3)
_N_TRIES = 10
KEEPS_ASPECT = {"center": True, "warp": False, "squash": False}
"""The views that nets are fine-tuned for, and whether they keep an image's aspect."""


def random_crop(
    image: torch.Tensor, view: str, preprocessing: Preprocessing, area: float, seed: int
) -> torch.Tensor:
    """Return a random part of an image, resized to a net's input.

    Parameters
    ----------
    image : torch.Tensor
        ``(3, H, W)`` uint8 image.
    view : str
        The plain view: where it ignores the aspect of images, so do the crops.
    preprocessing : Preprocessing
        The net's; S is its ``input_size_px``.
    area : float
        Smallest share of the image that is covered.
    seed : int
        Of the draw.

    Returns
    -------
    torch.Tensor
        ``(3, S, S)`` uint8.

    References
    ----------
    Szegedy et al., Going deeper with convolutions, CVPR 2015, section 6: 8 % to 100 % of the area,
    an aspect from 3/4 to 4/3.
    """
    chance = torch.Generator().manual_seed(seed)
    keep_aspect = KEEPS_ASPECT[view] and preprocessing.crop != "squash"
    box = _box(image.shape[1], image.shape[2], area, keep_aspect, chance)
    side = preprocessing.input_size_px
    crop: torch.Tensor = functional.resized_crop(
        image, *box, [side, side], InterpolationMode(preprocessing.interpolation), antialias=True
    )
    if torch.rand((), generator=chance) < 0.5:
        crop = functional.horizontal_flip(crop)
    return crop


def _box(
    height: int, width: int, area: float, keep_aspect: bool, chance: torch.Generator
) -> tuple[int, int, int, int]:
    """Return top, left, height and width of a crop; of the whole image where none fits in."""
    aspect = 1.0 if keep_aspect else width / height
    for _ in range(_N_TRIES):
        share, form = torch.rand(2, generator=chance, dtype=torch.float64).tolist()
        share = area + (1 - area) * share
        ratio = aspect * math.exp(math.log(RATIO[0]) + form * math.log(RATIO[1] / RATIO[0]))
        w = round(math.sqrt(share * height * width * ratio))
        h = round(math.sqrt(share * height * width / ratio))
        if 0 < w <= width and 0 < h <= height:
            top = int(torch.randint(0, height - h + 1, (), generator=chance))
            left = int(torch.randint(0, width - w + 1, (), generator=chance))
            return top, left, h, w
    side = min(height, width)
    if not keep_aspect:
        return 0, 0, height, width
    return (height - side) // 2, (width - side) // 2, side, side
