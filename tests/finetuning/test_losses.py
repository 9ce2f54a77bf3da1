"""The losses, against their formulas."""

import numpy as np
import torch

from decaf.finetuning.losses import loss


def test_one_label_is_the_cross_entropy_of_the_softmax() -> None:
    logits = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 1, 1, 2])
    expected = (logits.logsumexp(1) - logits[torch.arange(5), labels]).mean()
    torch.testing.assert_close(loss(logits, labels), expected)


def test_several_labels_leave_out_what_is_not_known() -> None:
    logits = torch.tensor([[1.0, -2.0, 9.0], [0.5, 7.0, -1.0]], requires_grad=True)
    labels = torch.tensor([[1, -1, 0], [-1, 0, 1]], dtype=torch.int8)
    value = loss(logits, labels)
    margins = np.array([1.0, 2.0, -0.5, -1.0])
    np.testing.assert_allclose(value.item(), np.log1p(np.exp(-margins)).mean(), rtol=1e-6)
    value.backward()
    gradient = logits.grad.numpy()
    assert (gradient[labels.numpy() == 0] == 0).all()
    known = -np.array([1, -1, -1, 1]) / (1 + np.exp(margins)) / 4
    np.testing.assert_allclose(gradient[labels.numpy() != 0], known, rtol=1e-6)


def test_nothing_known_is_no_loss() -> None:
    logits = torch.ones(2, 3, requires_grad=True)
    value = loss(logits, torch.zeros(2, 3, dtype=torch.int8))
    value.backward()
    assert value.item() == 0
    assert (logits.grad == 0).all()
