"""Folders of small images whose files are all of one size, and their features by a small net."""

import io
from pathlib import Path

import numpy as np
from flat import extract
from PIL import Image

from decaf.store import FeatureStore

OPTIONS = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "batch_size": 4}


def bmp(number: int, side: int = 40) -> bytes:
    """Return the file of an image: all files are of one size."""
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, "BMP")
    return data.getvalue()


def write(root: Path, first: int = 0, n_images: int = 12) -> Path:
    """Write a folder of two classes."""
    for number in range(n_images):
        path = root / "ab"[number % 2] / f"{number:02d}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bmp(first + number))
    return root


def run(images: Path, out: Path, **more: object) -> Path:
    """Extract a folder."""
    return extract(images, **{**OPTIONS, "layers": "fc6", "quiet": True} | more, out=out)


def features(path: Path) -> np.ndarray:
    """Return all rows of a store."""
    with FeatureStore(path) as store:
        assert store.done.all()
        return store["fc6"][:]
