"""Real images through a real net: the numbers that pretrained features must give.

Squeezenet's `features.12` on part of Caltech-101 (102 categories, 30 to train, protocol decaf).
An independent trial with C = 1 on l2-normalised features gave 0.89 and 0.91 on two splits for
the 3 x 3 grid, and 0.84 and 0.85 for the average over the map.
"""

from pathlib import Path

import pytest
from flat import evaluate

from decaf.results import Aggregate

pytestmark = [pytest.mark.data, pytest.mark.slow]


def score(assets: Path, tmp_path: Path, *, splits: int = 2, **options: object) -> Aggregate:
    settings: dict[str, object] = {
        "backbone": "squeezenet1_0",
        "weights": str(assets / "weights" / "squeezenet1_0-deepcompression.safetensors"),
        "layers": "features.12",
        "pool": "grid:3",
        "protocol": "decaf",
        "heads": "svm",
        "device": "cpu",
        "precision": "auto",
        "quiet": True,
    }
    (row,) = evaluate(
        "caltech101",
        data_root=assets / "data",
        allow_partial=True,
        splits=splits,
        out=tmp_path / "results.csv",
        features=tmp_path,
        **settings | options,
    ).aggregates()
    assert row.partial
    assert row.n_train == 3060
    assert row.converged
    return row


@pytest.mark.parametrize(("pool", "least"), [("grid:3", 0.89), ("avg", 0.83)])
def test_pretrained_features_give_the_numbers(
    pool: str, least: float, assets: Path, tmp_path: Path
) -> None:
    assert score(assets, tmp_path, pool=pool).mean >= least


def test_random_features_do_not(assets: Path, tmp_path: Path) -> None:
    assert score(assets, tmp_path, weights="random", splits=1).mean < 0.5
