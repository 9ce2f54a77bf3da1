"""Backbones of small and plain nets, and images for them."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from decaf.backbones import TorchBackbone, load_backbone, wrap_module
from decaf.backbones.mini import PREPROCESSING
from decaf.types import Preprocessing

SIDE = 24
AS_IS = Preprocessing(SIDE, SIDE, "bilinear", "center", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture
def wrap() -> Callable[[nn.Module], TorchBackbone]:
    """Make a backbone whose normalised input is ``pixel / 255``."""
    return lambda net: wrap_module(net, AS_IS, device="cpu")


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def mini() -> TorchBackbone:
    """Return the small net that the package carries, with its weights."""
    return load_backbone("decaf-mini", device="cpu")


@pytest.fixture(scope="session")
def identity() -> TorchBackbone:
    """Return a net whose one layer gives its normalised input back."""
    return wrap_module(nn.Sequential(nn.Identity()), PREPROCESSING, device="cpu")
