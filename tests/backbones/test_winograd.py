"""Convolutions by minimal filtering: the same values as torch's own, within float32's reach."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from decaf.backbones import load_backbone, runtimes
from decaf.backbones.onnx_net import differences
from decaf.backbones.winograd import WinogradConv2d, with_winograd

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
    (fast,) = with_winograd(nn.Sequential(conv))
    assert isinstance(fast, WinogradConv2d)
    return fast


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
    assert not torch.equal(read(conv, x), nn.Conv2d.forward(conv, x))


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


def test_the_net_stays_as_it_is_and_shares_its_weights():
    net = nn.Sequential(nn.Conv2d(3, 128, 1), nn.Conv2d(128, 128, 3), nn.BatchNorm2d(128)).eval()
    fast = with_winograd(net)
    assert [type(module) for module in net] == [nn.Conv2d, nn.Conv2d, nn.BatchNorm2d]
    assert fast.state_dict().keys() == net.state_dict().keys()
    for name, value in fast.state_dict().items():
        assert value.data_ptr() == net.state_dict()[name].data_ptr()
    conv, x = net[1], torch.randn(1, 128, 8, 8, requires_grad=True)
    conv(x).sum().backward()
    assert conv.weight.grad is not None
    assert x.grad is not None


def test_a_net_that_gains_reads_so_and_says_so(monkeypatch):
    found, codes = {}, set()
    for kind, pattern in (("direct", "none"), ("winograd", "alexnet")):
        monkeypatch.setattr(runtimes, "_BY_WINOGRAD", dict.fromkeys(("AVX2", "AVX512"), pattern))
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        net = load_backbone("alexnet", weights="random", device="cpu")
        assert net.convolutions == kind
        torch.manual_seed(0)
        pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
        found[kind] = net.activations(pixels, ["features.10", "pool5"])
        codes.add(net.code_sha256)
    assert len(codes) == 1
    assert 0 < differences(found["winograd"], found["direct"])["pool5"] < 1e-5
    bf16 = load_backbone("alexnet", weights="random", device="cpu", precision="bf16")
    assert bf16.convolutions == "direct"


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
    assert with_winograd(net) is net
