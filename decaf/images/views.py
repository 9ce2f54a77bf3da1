"""Views: the crops and warps of an image that a net sees.

Pixels stay uint8 and are resized with antialiasing by torchvision's tensor kernels, rows first and
then columns. They are within one grey level of Pillow's, and faster. Only where one side grows
while the other shrinks may Pillow take the columns first, and bicubic overshoots differ.

References
----------
Donahue et al., DeCAF, 2014, section 3 (`warp`: the whole image to 256 x 256 ignoring its
aspect, then the centre crop); Krizhevsky et al., 2012, section 4.1 (`ten-crop`); Razavian et al.,
2014 (`razavian-16`: the image, five crops of 4/9 of its area, two rotations, and the mirrors).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from decaf.choices import check_choice
from decaf.errors import ConfigError, DataError
from decaf.images.limits import MAX_PIXELS
from decaf.types import Preprocessing


@dataclass(frozen=True)
class Crops:
    """A way to make a net's input from an image.

    Attributes
    ----------
    n_views : int
        Number of crops it makes of one image.
    make : callable
        Takes a ``(3, H, W)`` image and a preprocessing, returns ``(3, S, S)`` for one crop,
        ``(n_views, 3, S, S)`` for several.
    """

    n_views: int
    make: Callable[[torch.Tensor, Preprocessing], torch.Tensor]


def make_view(image: torch.Tensor, view: str, preprocessing: Preprocessing) -> torch.Tensor:
    """Make one view of an image.

    Parameters
    ----------
    image : torch.Tensor
        ``(3, H, W)`` uint8 image.
    view : str
        A name in `VIEWS`.
    preprocessing : Preprocessing
        The net's; S is its ``input_size_px``.

    Returns
    -------
    torch.Tensor
        ``(3, S, S)`` uint8 for one crop, ``(n_views, 3, S, S)`` for several.

    Raises
    ------
    ConfigError
        The view is unknown.
    DataError
        The image is so elongated that it would be resized to a gigantic one.
    """
    return _named(view).make(image, preprocessing)


def n_views(view: str) -> int:
    """Return the number of crops that a view makes of one image.

    Returns
    -------
    int
        Number of crops.

    Raises
    ------
    ConfigError
        The view is unknown.
    """
    return _named(view).n_views


def crop_box(
    image: torch.Tensor, box: Sequence[float], scale: float = 1.0, edges: str = "clip"
) -> torch.Tensor:
    """Crop an image to a box, enlarged about its centre.

    Parameters
    ----------
    image : torch.Tensor
        ``(3, H, W)`` image.
    box : sequence of float
        ``x0, y0, x1, y1`` in pixels, 0-based, end exclusive.
    scale : float
        Factor for the box's width and for its height (the area grows with its square).
    edges : str
        What lies outside the image is left out (``"clip"``) or mirrored (``"reflect"``).

    Returns
    -------
    torch.Tensor
        ``(3, h, w)`` image that shares memory with `image` unless something is mirrored.

    Raises
    ------
    DataError
        Nothing of the box lies within the image.

    References
    ----------
    DeCAF's released code, ``decaf/layers/data/cub.py``: birds are cropped with a factor of 1.5.
    """
    x0, y0, x1, y1 = (float(edge) for edge in box)
    (left, right), (top, bottom) = _stretch(x0, x1, scale), _stretch(y0, y1, scale)
    if edges == "reflect":
        margins = [-left, -top, right - image.shape[2], bottom - image.shape[1]]
        beyond = [max(0, margin) for margin in margins]
        if any(beyond):
            image = _mirrored(image, beyond)
            left, right = left + beyond[0], right + beyond[0]
            top, bottom = top + beyond[1], bottom + beyond[1]
    left, right = max(0, left), min(image.shape[2], right)
    top, bottom = max(0, top), min(image.shape[1], bottom)
    if left >= right or top >= bottom:
        raise DataError(
            f"box {x0:g}, {y0:g}, {x1:g}, {y1:g} lies outside the image of "
            f"{image.shape[2]} x {image.shape[1]} pixels; correct it"
        )
    return image[:, top:bottom, left:right]


def _stretch(low: float, high: float, scale: float) -> tuple[int, int]:
    centre, half = (low + high) / 2, (high - low) * scale / 2
    return round(centre - half), round(centre + half)


def _mirrored(image: torch.Tensor, margins: list[int]) -> torch.Tensor:
    """Return an image with mirrored margins: left, top, right, bottom."""
    padded: torch.Tensor = functional.pad(image, margins, padding_mode="reflect")
    return padded


def _named(view: str) -> Crops:
    check_choice("view", view, tuple(VIEWS))
    return VIEWS[view]


def _resize(image: torch.Tensor, size: list[int], preprocessing: Preprocessing) -> torch.Tensor:
    interpolation = InterpolationMode(preprocessing.interpolation)
    resized: torch.Tensor = functional.resize(image, size, interpolation, antialias=True)
    return resized


def _crop_centre(image: torch.Tensor, side: int) -> torch.Tensor:
    cropped: torch.Tensor = functional.center_crop(image, [side, side])
    return cropped


def _resize_shorter_side(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    short, long = sorted(image.shape[1:])
    side = preprocessing.resize_px
    if side * side * long // short > MAX_PIXELS:
        raise DataError(
            f"too elongated: {image.shape[2]} x {image.shape[1]} pixels cannot be resized to a "
            f"shorter side of {side}; use the view 'squash' or 'warp'"
        )
    return _resize(image, [side], preprocessing)


def _resize_longer_side(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    ratio = max(image.shape[1:]) / preprocessing.resize_px
    resized = _resize(
        image, [max(1, round(side / ratio)) for side in image.shape[1:]], preprocessing
    )
    height, width = (max(0, preprocessing.input_size_px - side) for side in resized.shape[1:])
    margins = [width // 2, height // 2, (width + 1) // 2, (height + 1) // 2]
    fill = [round(255 * mean) for mean in preprocessing.mean]
    padded: torch.Tensor = functional.pad(resized, margins, fill=fill)
    return padded


def _squeeze(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    return _resize(image, [preprocessing.resize_px] * 2, preprocessing)


CROPS = {"center": _resize_shorter_side, "squash": _squeeze, "border": _resize_longer_side}
"""What a net's own evaluation transform does before its centre crop, by `Preprocessing.crop`."""


def _resize_as_trained(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    check_choice("crop of a preprocessing", preprocessing.crop, tuple(CROPS))
    return CROPS[preprocessing.crop](image, preprocessing)


def _center(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    resized = _resize_as_trained(image, preprocessing)
    return _crop_centre(resized, preprocessing.input_size_px)


def _warp(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    side = preprocessing.input_size_px
    margin = round(side * 256 / 224)
    return _crop_centre(_resize(image, [margin, margin], preprocessing), side)


def _squash(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    side = preprocessing.input_size_px
    return _resize(image, [side, side], preprocessing)


def _ten_crop(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    side = preprocessing.input_size_px
    if side > preprocessing.resize_px:
        raise ConfigError(
            f"view 'ten-crop' takes crops of {side} px, but this net resizes to "
            f"{preprocessing.resize_px} px; choose another view"
        )
    crops = functional.ten_crop(_resize_as_trained(image, preprocessing), [side, side])
    # Channels last, as the crops come: any other order takes 10 times as long.
    return torch.stack([crop.permute(1, 2, 0) for crop in crops]).permute(0, 3, 1, 2)


ROTATION_DEGREES = 10.0
"""Angle of `razavian-16`'s rotations, to either side; the paper does not state it."""


def _razavian(image: torch.Tensor, preprocessing: Preprocessing) -> torch.Tensor:
    height, width = image.shape[1:]
    part = [max(1, round(2 * height / 3)), max(1, round(2 * width / 3))]
    whole = _squash(image, preprocessing)
    eight = [
        whole,
        *(_squash(crop, preprocessing) for crop in functional.five_crop(image, part)),
        _rotate(whole, ROTATION_DEGREES),
        _rotate(whole, -ROTATION_DEGREES),
    ]
    views = [*eight, *(functional.horizontal_flip(view) for view in eight)]
    return torch.stack([view.permute(1, 2, 0) for view in views]).permute(0, 3, 1, 2)


def _rotate(image: torch.Tensor, degrees: float) -> torch.Tensor:
    """Rotate a square image about its centre; what comes into its corners is mirrored."""
    side, angle = image.shape[1], math.radians(abs(degrees))
    margin = math.ceil(side / 2 * (math.cos(angle) + math.sin(angle) - 1)) + 1
    padded = functional.pad(image, [margin] * 4, padding_mode="reflect")
    rotated = functional.rotate(padded, degrees, InterpolationMode.BILINEAR)
    return _crop_centre(rotated, side)


VIEWS: dict[str, Crops] = {
    "center": Crops(1, _center),
    "warp": Crops(1, _warp),
    "squash": Crops(1, _squash),
    "ten-crop": Crops(10, _ten_crop),
    "razavian-16": Crops(16, _razavian),
}
"""Every view by name: `center` is the weights' own evaluation transform, `warp` is DeCAF's."""
