"""Fixtures that several test files share."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder with real weights and images, from the environment variable DECAF_ASSETS."""
    folder = os.environ.get("DECAF_ASSETS")
    if not folder:
        pytest.skip("DECAF_ASSETS is not set: no real weights and images here")
    return Path(folder).resolve()


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Class folder of 3 x 8 images whose colour tells the class."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("blue", "green", "red")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 120, (40, 50, 3), dtype=np.uint8)
            pixels[..., 2 - number] += 120
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "images"
