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
