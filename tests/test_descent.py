"""The one loop of gradient steps: its losses by hand, and what a checkpoint gives back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from decaf.descent import Descent, assign, mean_loss
from decaf.errors import DataError
from decaf.tensor_file import write_tensors


def descent(path: Path | None) -> Descent:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.5))
    groups = [{"params": [*net.parameters()], "peak": 0.1}]
    return Descent(net, net.state_dict(), groups, momentum=0.9, seed=5, path=path)


def train(run: Descent, epochs: range) -> None:
    for epoch in epochs:
        losses = (run.net(torch.rand(2, 3)).square().sum() for _ in range(3))
        run.epoch(epoch, losses, lambda step: 1 / (1 + step))


def test_what_goes_on_from_a_checkpoint_ends_with_the_same_bits(tmp_path: Path) -> None:
    path, whole, first = tmp_path / "new" / "c.safetensors", descent(None), descent(None)
    train(whole, range(4))
    first = descent(path)
    assert first.restore(lambda progress: progress) is None
    train(first, range(2))
    first.best["0.bias"].fill_(7)
    first.save({"epoch": 2}, more={"x": torch.randn(3, 4).t()})
    assert [file.name for file in path.parent.iterdir()] == ["c.safetensors"]
    second, x = descent(path), torch.zeros(4, 3)
    assert second.restore(lambda progress: progress["epoch"], more={"x": x}) == 2
    assert x.abs().sum() > 0
    assert (second.best["0.bias"] == 7).all()
    train(second, range(2, 4))
    for key, value in whole.learned.items():
        assert torch.equal(second.learned[key], value)
    second.save({}, ended=True)
    third = descent(path)
    third.restore(lambda progress: progress)
    assert torch.equal(third.best["0.bias"], second.best["0.bias"])
    assert torch.equal(third.learned["0.bias"], descent(None).learned["0.bias"])


@pytest.mark.parametrize(
    ("tensors", "progress"),
    [({}, "{}"), ({"best.0.weight": torch.ones(9, 9)}, "{}"), ({}, "{"), ({}, "[]")],
)
def test_a_checkpoint_of_something_else_is_said(tensors, progress, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    write_tensors(path, tensors, {"progress": progress})
    with pytest.raises(DataError, match="delete it and run again"):
        descent(path).restore(lambda found: found["epoch"])


def test_one_label_is_the_cross_entropy_of_the_softmax() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 1, 1, 2])
    expected = (logits.logsumexp(1) - logits[torch.arange(5), labels]).mean()
    torch.testing.assert_close(mean_loss(logits, labels), expected)


def test_several_labels_leave_out_what_is_not_known() -> None:
    logits = torch.tensor([[1.0, -2.0, 9.0], [0.5, 7.0, -1.0]], requires_grad=True)
    labels = torch.tensor([[1, -1, 0], [-1, 0, 1]], dtype=torch.int8)
    value = mean_loss(logits, labels)
    margins = np.array([1.0, 2.0, -0.5, -1.0])
    np.testing.assert_allclose(value.item(), np.log1p(np.exp(-margins)).mean(), rtol=1e-6)
    value.backward()
    gradient = logits.grad.numpy()
    assert (gradient[labels.numpy() == 0] == 0).all()
    known = -np.array([1, -1, -1, 1]) / (1 + np.exp(margins)) / 4
    np.testing.assert_allclose(gradient[labels.numpy() != 0], known, rtol=1e-6)


def test_nothing_known_is_no_loss() -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    value = mean_loss(logits, torch.zeros(2, 3, dtype=torch.int8))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()


def test_tied_tensors_are_written_each(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    write_tensors(tmp_path / "t.safetensors", {"a": shared, "b": shared}, {})
    target = {"a": torch.zeros(3)}
    assign(target, {"a": shared})
    assert torch.equal(target["a"], shared)
