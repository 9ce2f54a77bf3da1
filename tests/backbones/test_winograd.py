"""Convolutions by minimal filtering: the same values as torch's own, within float32's reach."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from decaf.backbones.winograd import WinogradConv2d, use_winograd, uses_winograd

# rows: side of the filter, channels in and out, groups, padding, height, width, images
FORMS = [
    (3, 128, 128, 1, 1, 13, 13, 2),
    (3, 128, 130, 1, 0, 9, 16, 1),
    (3, 256, 256, 2, 1, 7, 5, 3),
    (5, 48, 64, 1, 2, 27, 27, 1),
    (5, 96, 128, 2, 2, 14, 11, 2),
    (3, 128, 128, 1, 1, 1, 1, 1),
    (3, 128, 128, 1, 2, 6, 6, 1),
]


def made(side, inside, outside, groups, padding, *, bias=True):
    torch.manual_seed(0)
    conv = nn.Conv2d(inside, outside, side, padding=padding, groups=groups, bias=bias)
    use_winograd(nn.Sequential(conv))
    assert isinstance(conv, WinogradConv2d)
    return conv


def exact(conv, x):
    bias = None if conv.bias is None else conv.bias.double()
    return functional.conv2d(
        x.double(), conv.weight.double(), bias, padding=conv.padding, groups=conv.groups
    )


def read(conv, x):
    with torch.inference_mode():
        return conv(x)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bias", [True, False])
def test_gives_the_values_of_a_convolution(form, bias):
    side, inside, outside, groups, padding, height, width, n = form
    conv = made(side, inside, outside, groups, padding, bias=bias)
    x = torch.randn(n, inside, height, width).relu().contiguous(memory_format=torch.channels_last)
    expected = exact(conv, x)
    found = read(conv, x)
    assert found.shape == expected.shape
    assert found.is_contiguous(memory_format=torch.channels_last)
    error = (found - expected).detach().norm() / expected.norm()
    assert error < 1e-5
    np.testing.assert_allclose(
        found.numpy(), expected.detach().numpy(), rtol=0, atol=1e-4 * expected.abs().max().item()
    )


def test_takes_other_arithmetic_than_torch():
    """Or the tests above would compare torch with itself."""
    conv = made(3, 128, 128, 1, 1)
    x = torch.randn(1, 128, 12, 12)
    assert not torch.equal(read(conv, x), conv(x))


def test_many_images_are_those_of_each_alone():
    conv = made(3, 512, 512, 1, 1)
    x = torch.randn(40, 512, 7, 7)  # more than are worked on at once
    alone = torch.cat([read(conv, one[None]) for one in x])
    np.testing.assert_allclose(read(conv, x).numpy(), alone.numpy(), rtol=1e-4, atol=1e-5)


def test_no_images_give_no_maps():
    conv = made(3, 128, 128, 1, 1)
    assert read(conv, torch.empty(0, 128, 8, 8)).shape == (0, 128, 8, 8)


@pytest.mark.parametrize("shape", [(128, 8, 8), (2, 128, 2, 8)])
def test_takes_every_form_that_a_convolution_takes(shape):
    conv, x = made(3, 128, 128, 1, 1), torch.randn(shape)
    np.testing.assert_allclose(
        read(conv, x).numpy(), exact(conv, x).detach().numpy(), rtol=1e-4, atol=1e-4
    )


def test_refuses_what_a_convolution_refuses():
    conv = made(5, 48, 48, 1, 1)
    for shape in ((1, 48, 2, 2), (1, 47, 8, 8)):
        with pytest.raises(RuntimeError):
            read(conv, torch.randn(shape))


def test_follows_weights_that_change():
    conv, x = made(3, 128, 128, 1, 1), torch.randn(1, 128, 8, 8)
    read(conv, x)
    twin = copy.deepcopy(conv)
    with torch.no_grad():
        conv.weight.mul_(2)
        twin.weight.zero_()
    np.testing.assert_allclose(
        read(conv, x).numpy(), exact(conv, x).detach().numpy(), rtol=1e-3, atol=1e-3
    )
    np.testing.assert_allclose(
        read(twin, x).numpy(), exact(twin, x).detach().numpy(), rtol=1e-3, atol=1e-3
    )


def _in_place(conv, weight):
    with torch.no_grad():
        conv.weight.copy_(weight)


def _parameter(conv, weight):
    conv.weight = nn.Parameter(weight)


def _data(conv, weight):
    conv.weight.data = weight


def _state(conv, weight):
    conv.load_state_dict({"weight": weight})


def _assigned(conv, weight):
    conv.load_state_dict({"weight": weight}, assign=True)


@pytest.mark.parametrize("replace", [_in_place, _parameter, _data, _state, _assigned])
def test_follows_weights_that_are_replaced(replace):
    """Memory of what was replaced is given out again, so an address alone tells nothing."""
    conv, x = made(5, 48, 48, 1, 2, bias=False), torch.rand(1, 48, 5, 5)
    for number in range(200):
        replace(conv, torch.zeros(48, 48, 5, 5))  # not read: the memory of the last is free then
        replace(conv, torch.full((48, 48, 5, 5), float(number)))
        found = read(conv, x)[0, :, 2, 2].numpy()
        np.testing.assert_allclose(found, number * x.sum().item(), rtol=1e-4, atol=1e-4)


def test_gradients_are_those_of_a_convolution():
    conv, x = made(3, 128, 128, 1, 1), torch.randn(1, 128, 8, 8, requires_grad=True)
    conv(x).sum().backward()
    plain = nn.Conv2d(128, 128, 3, padding=1)
    plain.load_state_dict(conv.state_dict())
    again = x.detach().clone().requires_grad_()
    plain(again).sum().backward()
    assert torch.equal(conv.weight.grad, plain.weight.grad)
    assert torch.equal(x.grad, again.grad)


def test_other_precisions_stay_with_torch():
    conv, x = made(3, 128, 128, 1, 1), torch.randn(1, 128, 8, 8)
    found = read(conv.double(), x.double())
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), exact(conv, x).detach().numpy(), rtol=1e-10)


def test_leaves_alone_what_does_not_gain():
    net = nn.Sequential(
        nn.Conv2d(128, 128, 3, stride=2),
        nn.Conv2d(128, 128, 3, dilation=2),
        nn.Conv2d(128, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(128, 128, 3, padding="same"),
        nn.Conv2d(128, 128, (3, 5)),
        nn.Conv2d(128, 128, 1),
        nn.Conv2d(128, 128, 7),
        nn.Conv2d(64, 128, 3),
        nn.Conv2d(256, 256, 3, groups=4),
        nn.ConvTranspose2d(128, 128, 3),
    )
    use_winograd(net)
    assert not uses_winograd(net)
    assert uses_winograd(nn.Sequential(net, made(3, 128, 128, 1, 1)))
