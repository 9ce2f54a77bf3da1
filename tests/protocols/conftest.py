"""A table of images that do not exist: protocols look at labels only."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from decaf.types import ImageDataset

MakeTable = Callable[..., ImageDataset]


@pytest.fixture
def make_table() -> MakeTable:
    """Make a table with so many images of each class, or with given labels."""

    def make(counts: Sequence[int] = (), name: str = "own", labels=None, **fields) -> ImageDataset:
        if labels is None:
            labels = np.repeat(np.arange(len(counts)), counts)
        n_classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
        return ImageDataset(
            name,
            Path("images"),
            tuple(f"{i}.jpg" for i in range(len(labels))),
            labels,
            tuple(f"class-{c}" for c in range(n_classes)),
            np.full(len(labels), 100),
            **fields,
        )

    return make
