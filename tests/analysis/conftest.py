"""A store of real features of made-up images."""

import pytest
from flat import extract

from decaf.backbones import load_backbone


@pytest.fixture(scope="session")
def net():
    """A small net with random weights."""
    return load_backbone("decaf-mini", weights="random", device="cpu")


@pytest.fixture
def store_path(image_folder, tmp_path, net):
    """Store of 25 images: one of them stands twice, as two classes."""
    copied = (image_folder / "blue" / "3.png").read_bytes()
    (image_folder / "red" / "copy.png").write_bytes(copied)
    return extract(
        image_folder,
        backbone=net,
        layers="features.pool2,features.pool5",
        pool="max",
        out=tmp_path / "features",
        quiet=True,
    )
