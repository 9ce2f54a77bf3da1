"""Values, gradients and Hessian products agree with each other."""

import numpy as np
import pytest
import torch

from decaf.heads.losses import Logistic, Softmax, SquaredHinge

ROWS, CLASSES = 12, 4


def _loss(kind, seed=0):
    rng = np.random.default_rng(seed)
    if kind is Softmax:
        signs = 2 * np.eye(CLASSES)[rng.integers(CLASSES, size=ROWS)] - 1
        weight = rng.uniform(0.5, 2, (ROWS, 1))
    else:
        signs = rng.choice([-1.0, 0.0, 1.0], (ROWS, CLASSES))
        weight = rng.uniform(0.5, 2, (ROWS, CLASSES))
    return kind(torch.tensor(signs), torch.tensor(weight), 0.7)


@pytest.mark.parametrize("kind", [SquaredHinge, Logistic, Softmax])
def test_gradient_is_the_slope_of_the_value(kind):
    loss = _loss(kind)
    F, V = torch.randn(2, ROWS, CLASSES, dtype=torch.float64, generator=_seed())
    h = 1e-6
    slope = (loss.value(F + h * V).sum() - loss.value(F - h * V).sum()) / (2 * h)
    np.testing.assert_allclose((loss.gradient(F) * V).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize("kind", [SquaredHinge, Logistic, Softmax])
def test_curvature_is_the_slope_of_the_gradient(kind):
    loss = _loss(kind)
    F, V = torch.randn(2, ROWS, CLASSES, dtype=torch.float64, generator=_seed())
    h = 1e-6
    slope = (loss.gradient(F + h * V) - loss.gradient(F - h * V)) / (2 * h)
    np.testing.assert_allclose(loss.hessian(loss.curvature(F), V), slope, atol=1e-7)


@pytest.mark.parametrize("kind", [SquaredHinge, Logistic])
def test_a_row_left_out_of_a_class_does_not_count_for_it(kind):
    loss = _loss(kind)
    F = torch.randn(ROWS, CLASSES, dtype=torch.float64, generator=_seed())
    other = torch.where(loss.Y == 0, F + 3, F)
    np.testing.assert_array_equal(loss.value(other), loss.value(F))
    np.testing.assert_array_equal(loss.gradient(F)[loss.Y == 0], 0)
    np.testing.assert_array_equal(loss.hessian(loss.curvature(F), F)[loss.Y == 0], 0)


@pytest.mark.parametrize("kind", [SquaredHinge, Logistic])
def test_columns_are_the_losses_of_single_classes(kind):
    loss = _loss(kind)
    F = torch.randn(ROWS, CLASSES, dtype=torch.float64, generator=_seed())
    chosen = torch.tensor([2, 0])
    np.testing.assert_allclose(
        loss.columns(chosen).value(F[:, chosen]), loss.value(F)[chosen], rtol=1e-12
    )


def test_softmax_does_not_overflow():
    loss = _loss(Softmax)
    F = torch.full((ROWS, CLASSES), 1e4, dtype=torch.float64)
    F[:, 0] = -1e4
    assert torch.isfinite(loss.value(F)).all()
    assert torch.isfinite(loss.gradient(F)).all()


def _seed():
    return torch.Generator().manual_seed(1)
