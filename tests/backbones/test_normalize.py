"""Pixels are normalised as torchvision's transforms do it."""

import pytest
import torch
from torchvision.transforms.v2 import functional

from decaf.backbones.normalize import normalize
from decaf.types import Preprocessing

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PREPROCESSING = Preprocessing(8, 10, "bilinear", "center", MEAN, STD)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_torchvision(memory_format: torch.memory_format) -> None:
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    expected = functional.normalize(pixels.float() / 255, list(MEAN), list(STD))
    found = normalize(pixels.contiguous(memory_format=memory_format), PREPROCESSING, torch.float32)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_low_precision_is_rounded_once() -> None:
    pixels = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    exact = normalize(pixels, PREPROCESSING, torch.float32)
    torch.testing.assert_close(
        normalize(pixels, PREPROCESSING, torch.bfloat16), exact.to(torch.bfloat16)
    )


def test_lists_of_means_are_as_good_as_tuples():
    """Users write them so for nets of their own."""
    pixels = torch.randint(0, 256, (1, 3, 4, 4), dtype=torch.uint8)
    common = {"input_size_px": 4, "resize_px": 4, "interpolation": "bilinear", "crop": "center"}
    lists = Preprocessing(**common, mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4])
    tuples = Preprocessing(**common, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    found = normalize(pixels, lists, torch.float32)
    assert torch.equal(found, normalize(pixels, tuples, torch.float32))
