"""Real images through a real net: the numbers that pretrained features must give.

Squeezenet's `features.12` on part of Caltech-101 (102 categories, 30 to train, protocol decaf).
An independent trial with C = 1 on l2-normalised features gave 0.89 and 0.91 on two splits.
"""

from pathlib import Path

import pytest
from flat import evaluate

pytestmark = [pytest.mark.data, pytest.mark.slow]


def test_pretrained_features_give_the_numbers(assets: Path, tmp_path: Path) -> None:
    (row,) = evaluate(
        "caltech101",
        data_root=assets / "data",
        allow_partial=True,
        splits=2,
        backbone="squeezenet1_0",
        weights=str(assets / "weights" / "squeezenet1_0-deepcompression.safetensors"),
        layers="features.12",
        pool="grid:3",
        protocol="decaf",
        heads="svm",
        device="cpu",
        precision="auto",
        out=tmp_path / "results.csv",
        features=tmp_path,
        quiet=True,
    ).aggregates()
    assert row.partial
    assert row.n_train == 3060
    assert row.converged
    assert row.mean >= 0.89
