"""The choice of an epoch, and the moving average."""

import math

import numpy as np
import pytest
import torch

from decaf.finetuning.average import Average
from decaf.finetuning.loop import Epoch, best_epoch


@pytest.mark.parametrize(
    ("values", "losses", "best"),
    [
        ([0.5, 0.7, 0.6], [1, 1, 1], 1),
        ([0.7, 0.6, 0.7], [1, 1, 0.9], 2),
        ([0.7, 0.7, 0.7], [1, 1, 1], 0),
        ([math.nan] * 3, [math.nan] * 3, 2),
    ],
)
def test_the_best_epoch(values: list[float], losses: list[float], best: int) -> None:
    history = [Epoch(v, x, 0.0) for v, x in zip(values, losses, strict=True)]
    assert best_epoch(history) == best


def test_the_average_follows_its_formula_and_gives_way() -> None:
    learned = {"w": torch.zeros(2), "n": torch.tensor(0)}
    average, expected = Average(learned, 0.9), 0.0
    for step in range(1, 200):
        learned["w"].fill_(step)
        learned["n"].fill_(step)
        average.update(step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
    np.testing.assert_allclose(average.tensors["w"], [expected] * 2, rtol=1e-5)
    with average.in_place():
        np.testing.assert_allclose(learned["w"], [expected] * 2, rtol=1e-5)
        assert learned["n"] == 199
    np.testing.assert_array_equal(learned["w"], [199, 199])
