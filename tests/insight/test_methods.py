"""Regularisers and update rules of inversion and maximisation, against values worked by hand."""

import numpy as np
import pytest
import torch

from decaf.backbones import load_backbone
from decaf.errors import ConfigError
from decaf.insight.methods import (
    AdaptiveSteps,
    Ascent,
    Momentum,
    Phase,
    total_variation,
)
from decaf.insight.published_methods import invert_method, maximize_method

ONE = (Phase(1, 1.0),)
METHODS = [
    invert_method("2015", 0.1),
    invert_method("2016", 0.1),
    *(maximize_method(name) for name in ("2016", "yosinski-1", "yosinski-4")),
]


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("beta", "value"), [(2.0, 4.0), (1.0, 2 + 2**0.5)])
def test_total_variation_by_hand(beta, value):
    x = torch.tensor([[0.0, 1.0], [1.0, 0.0]])[None, None].repeat(2, 3, 1, 1)
    np.testing.assert_allclose(total_variation(x, beta), [3 * value] * 2, rtol=1e-5)


@pytest.mark.parametrize("beta", [1.0, 1.5, 2.0])
def test_gradients_of_total_variation(beta):
    x = noise(1, 2, 4, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda one: total_variation(one, beta), x)
    flat = torch.zeros(1, 1, 3, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(total_variation(flat, beta).sum(), flat)
    assert (gradient == 0).all()


@pytest.mark.parametrize("method", [Momentum(ONE, tv=10.0), AdaptiveSteps(ONE)])
def test_gradients_of_penalties(method):
    x = (200 * (noise(2, 3, 4, 4).double() - 0.5)).requires_grad_()
    assert torch.autograd.gradcheck(method.penalty, x)


def test_penalties_by_hand():
    x = torch.full((1, 3, 2, 2), 80.0)  # flat: no total variation
    energy = 68.92**2 * 12
    found = Momentum(ONE).penalty(x)
    np.testing.assert_allclose(found, [8e-10 / 2 * 12 * 80**6 / energy], rtol=1e-5)
    np.testing.assert_allclose(AdaptiveSteps(ONE).penalty(x), [3**3], rtol=1e-5)
    x[:, 1:] = 0  # a colour of norm 80 costs 1
    np.testing.assert_allclose(AdaptiveSteps(ONE).penalty(x), [1], rtol=1e-5)


def test_starts():
    draw = noise(2, 3, 40, 40)
    first = Momentum(ONE).start(draw)
    np.testing.assert_allclose(first.square().mean((1, 2, 3)) ** 0.5, [68.92] * 2, rtol=1e-5)
    second = AdaptiveSteps(ONE).start(draw)
    top = np.quantile(second[0], 0.95)
    np.testing.assert_allclose(top, 80 / 3**0.5, rtol=0.01)
    np.testing.assert_allclose(Ascent(ONE).start(draw).std(), 10, rtol=0.02)


def test_momentum_by_hand():
    method, x, g = Momentum(ONE), torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    energy = 68.92**2 * 12
    x, memory = method.update(x, g, {}, 0.1, 0)
    x, _ = method.update(x, g, memory, 0.1, 1)
    np.testing.assert_allclose(x.flatten(), [-(1 + 1.9) * 0.1 * energy] * 12, rtol=1e-5)


def test_adaptive_steps_by_hand():
    method, x = AdaptiveSteps(ONE), torch.zeros(1, 3, 2, 2)
    g = torch.zeros(1, 3, 2, 2)
    g[0, 0, 0, 0] = 1.0
    x, memory = method.update(x, g, {}, 0.5, 0)  # the rate is 0.5 times 4 pixels
    np.testing.assert_allclose(x[0, 0, 0, 0], -1 / 1.5, rtol=1e-5)
    x, _ = method.update(x, g, memory, 0.5, 1)
    step = -0.9 / 1.5 - 1 / (0.5 + 1.9**0.5)
    np.testing.assert_allclose(x[0, 0, 0, 0], -1 / 1.5 + step, rtol=1e-5)
    far, _ = method.update(torch.full((1, 3, 2, 2), 500.0), torch.zeros_like(g), {}, 0.5, 0)
    np.testing.assert_allclose(far.norm(dim=1).flatten(), [160] * 4, rtol=1e-5)


def test_yosinskis_operators_by_hand():
    x = torch.arange(12.0).view(1, 3, 2, 2)
    g = torch.ones(1, 3, 2, 2)
    decayed, _ = Ascent(ONE, decay=0.25).update(x, g, {}, 1.0, 0)
    np.testing.assert_allclose(decayed, 0.75 * (x - 1))
    steady, _ = Ascent(ONE, gain=6.0).update(x, g, {}, 1.0, 0)
    np.testing.assert_allclose(steady, x - 6 / 12)  # raises a linear activation by 6
    dark, _ = Ascent(ONE, small_norm=0.5).update(x, 0 * g, {}, 1.0, 0)
    assert (dark[0, :, 0] == 0).all()
    assert torch.equal(dark[0, :, 1], x[0, :, 1])
    g[:, :, 1, 1] = 0  # the pixel whose removal changes least
    lean, _ = Ascent(ONE, small_gain=0.25).update(x, g, {}, 0.0, 0)
    assert (lean[0, :, 1, 1] == 0).all()
    assert torch.equal(lean[0, :, 0], x[0, :, 0])
    spread = Ascent(ONE, blur=1.0, every=4)
    big = noise(1, 3, 16, 16)
    assert spread.update(big, 0 * big, {}, 1.0, 4)[0].std() < 0.7 * big.std()
    assert torch.equal(spread.update(big, 0 * big, {}, 1.0, 5)[0], big)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_images_of_a_batch_do_not_meet(method):
    x = 100 * (noise(3, 3, 12, 12) - 0.5)
    g = noise(3, 3, 12, 12, seed=1) - 0.5
    one = method.phases[0].lr
    together, memory = method.update(x, g, {}, one, 0)
    together, _ = method.update(together, g, memory, one, 1)
    alone, memory = method.update(x[1:2], g[1:2], {}, one, 0)
    alone, _ = method.update(alone, g[1:2], memory, one, 1)
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(method.penalty(x)[1:2], method.penalty(x[1:2]), rtol=1e-4)


def test_the_papers_weights_for_its_net():
    """CaffeNet's conv1 to relu2 weigh total variation by 1, to relu4 by 10, the rest by 100."""
    net = load_backbone("alexnet", weights="random", device="cpu")
    modules = ["features.0", "features.4", "features.5", "features.9", "features.10", "fc8"]
    weights = [invert_method("2015", net.progress(layer)).tv for layer in modules]
    assert weights == [1, 1, 10, 10, 100, 100]
    assert net.progress("fc8") == 1


def test_steps_are_shared_by_the_phases():
    method = invert_method("2015", 0.1)
    assert [phase.steps for phase in method.phases] == [100, 200, 100]
    assert [phase.steps for phase in method.with_steps(8).phases] == [2, 4, 2]
    assert sum(phase.steps for phase in method.with_steps(7).phases) == 7


def test_weights_that_are_not_used_are_refused():
    assert invert_method("2016", 0.5, 0.0).tv == 0
    assert maximize_method("2016", 0.5).tv == 0.5
    with pytest.raises(ConfigError, match="does not use tv"):
        maximize_method("yosinski-2", 0.5)
