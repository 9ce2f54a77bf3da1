"""Small nets to look into."""

import pytest
from torch import nn

from decaf.backbones import load_backbone, wrap_module
from decaf.backbones.mini import PREPROCESSING


@pytest.fixture(scope="session")
def mini():
    """The small net that the package carries, with its weights."""
    return load_backbone("decaf-mini", device="cpu")


@pytest.fixture(scope="session")
def identity():
    """A net whose one layer gives its normalised input back."""
    return wrap_module(nn.Sequential(nn.Identity()), PREPROCESSING, device="cpu")
