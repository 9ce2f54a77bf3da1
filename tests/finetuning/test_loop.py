"""The choice of an epoch, the moving average, and what a checkpoint gives back."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from decaf.finetuning.average import Average, assign
from decaf.finetuning.checkpoint import Checkpoint, Epoch, write_tensors
from decaf.finetuning.loop import best_epoch


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


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.safetensors"
    assert Checkpoint.load(path) is None
    checkpoint = Checkpoint([Epoch(math.nan, 0.1, 0.2), Epoch(0.3, 0.4, 0.5)])
    checkpoint.add("learned", {"a.b": torch.randn(3, 4).t(), "n": torch.tensor(3)})
    checkpoint.add("best", {"a.b": torch.ones(2)})
    checkpoint.save(path)
    again = Checkpoint.load(path)
    assert again is not None
    assert math.isnan(again.history[0].value)
    assert again.history[1] == checkpoint.history[1]
    assert again.group("learned").keys() == {"a.b", "n"}
    for name in ("learned", "best"):
        for key, value in checkpoint.group(name).items():
            assert torch.equal(again.group(name)[key], value)
    assert [file.name for file in path.parent.iterdir()] == ["c.safetensors"]


def test_tied_tensors_are_written_each(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    write_tensors(tmp_path / "t.safetensors", {"a": shared, "b": shared}, {})
    target = {"a": torch.zeros(3)}
    assign(target, {"a": shared})
    assert torch.equal(target["a"], shared)
