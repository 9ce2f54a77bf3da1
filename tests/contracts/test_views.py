"""Every view of an image through every check."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from decaf.images.views import VIEWS, make_view, n_views
from decaf.types import Preprocessing

N_VIEWS = {"center": 1, "warp": 1, "squash": 1, "ten-crop": 10, "razavian-16": 16}
SIZES = [(80, 90), (64, 64), (40, 31), (1, 1), (640, 90)]


def net(interpolation: str = "bilinear", input_size_px: int = 64) -> Preprocessing:
    zeros = (0.0, 0.0, 0.0)
    return Preprocessing(input_size_px, 73, interpolation, "center", zeros, zeros)


def new_image(width: int, height: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return torch.from_numpy(rows).permute(2, 0, 1)


def check_view_is_the_stated_size_and_deterministic(view: str) -> None:
    count = N_VIEWS[view]
    assert n_views(view) == count
    for size in SIZES:
        for interpolation in ("bilinear", "bicubic"):
            made, again = (make_view(new_image(*size), view, net(interpolation)) for _ in range(2))
            assert made.dtype == torch.uint8
            assert made.shape == ((3, 64, 64) if count == 1 else (count, 3, 64, 64))
            assert torch.equal(made, again)


def check_memory_order_does_not_count(view: str) -> None:
    image = new_image(150, 101)
    assert torch.equal(make_view(image, view, net()), make_view(image.contiguous(), view, net()))


def check_the_image_is_left_as_it_is(view: str) -> None:
    image = new_image(80, 90)
    before = image.clone()
    make_view(image, view, net())
    assert torch.equal(image, before)


def check_one_colour_stays_one_colour(view: str) -> None:
    """But for the corners that a rotation leaves empty."""
    image = torch.full((3, 90, 120), 137, dtype=torch.uint8)
    made = make_view(image, view, net())
    whole = made if view != "razavian-16" else made[[0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13]]
    assert (whole == 137).all()


def check_channels_are_not_mixed(view: str) -> None:
    image = new_image(120, 90)
    image[1] = 0
    made = make_view(image, view, net())
    assert made.select(-3, 1).max() == 0
    assert made.select(-3, 0).max() > 0


CHECKS = (
    check_view_is_the_stated_size_and_deterministic,
    check_memory_order_does_not_count,
    check_the_image_is_left_as_it_is,
    check_one_colour_stays_one_colour,
    check_channels_are_not_mixed,
)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_view_passes(check: Callable[[str], None], view: str) -> None:
    check(view)
