"""Random crops: their size, their spread, and that a seed decides them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from decaf.finetuning.crops import random_crop
from decaf.types import Preprocessing

SIDE = 64
PREPARED = Preprocessing(SIDE, SIDE, "bilinear", "center", (0.5,) * 3, (0.2,) * 3)


def ramps(height: int, width: int) -> torch.Tensor:
    """Return an image whose channels hold the row, the column, and nothing."""
    image = torch.zeros(3, height, width)
    image[0] = torch.linspace(0, 255, height)[:, None]
    image[1] = torch.linspace(0, 255, width)
    return image.round().byte()


def spans(crop: torch.Tensor) -> tuple[float, float]:
    """Return the shares of an image's height and width that a crop of ramps covers."""
    rows, columns = crop[0, :, 0].float(), crop[1, 0].float()
    return (rows[-1] - rows[0]).abs().item() / 255, (columns[-1] - columns[0]).abs().item() / 255


@pytest.mark.parametrize(("view", "keeps"), [("center", True), ("warp", False), ("squash", False)])
def test_crops_cover_the_area_asked_for(view: str, keeps: bool) -> None:
    image = ramps(200, 300)
    found = np.array([spans(random_crop(image, view, PREPARED, 0.4, seed)) for seed in range(300)])
    area = found.prod(1)
    assert area.min() > 0.4 - 0.05
    assert area.max() <= 1
    ratio = found[:, 1] * (300 / 200 if keeps else 1) / found[:, 0]
    assert ratio.min() > 0.75 - 0.06
    assert ratio.max() < 4 / 3 + 0.06
    assert area.std() > 0.05


def test_half_of_the_crops_are_mirrored() -> None:
    image = ramps(100, 100)
    crops = [random_crop(image, "squash", PREPARED, 0.5, seed) for seed in range(200)]
    mirrored = sum(bool(crop[1, 0, 0] > crop[1, 0, -1]) for crop in crops)
    assert 70 < mirrored < 130
    assert all(crop[0, 0, 0] < crop[0, -1, 0] for crop in crops)


def test_a_seed_decides_the_crop_whatever_was_drawn_before() -> None:
    image = ramps(120, 90)
    first = random_crop(image, "warp", PREPARED, 0.3, 7)
    torch.rand(5)
    random_crop(image, "warp", PREPARED, 0.3, 8)
    assert torch.equal(random_crop(image, "warp", PREPARED, 0.3, 7), first)
    assert first.shape == (3, SIDE, SIDE)
    assert first.dtype == torch.uint8


def test_an_elongated_image_is_cropped_at_its_centre() -> None:
    crop = random_crop(ramps(20, 2000), "center", PREPARED, 0.9, 0)
    columns = crop[1, 0].float() / 255
    np.testing.assert_allclose(columns.mean().item(), 0.5, atol=0.01)


def test_crops_for_a_net_that_squashes_ignore_the_aspect() -> None:
    image, squashes = ramps(200, 300), replace(PREPARED, crop="squash")
    for seed in range(20):
        found = random_crop(image, "center", squashes, 0.08, seed)
        assert torch.equal(found, random_crop(image, "squash", PREPARED, 0.08, seed))
