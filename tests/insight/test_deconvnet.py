"""Signals go down to the pixels as the papers say, and as captum has them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    LayerGradCam,
    NeuronDeconvolution,
    Saliency,
)
from plain_nets import small_net
from torch import nn
from torch.nn import functional

from decaf.backbones import TorchBackbone
from decaf.errors import ConfigError
from decaf.insight.deconvnet import grad_cam, send_down

Wrap = Callable[[nn.Module], TorchBackbone]
CLASS = 2
pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU:UserWarning")
"""Captum's remark on what it does."""


def one(unit: int, place: tuple[int, ...] = (), value: float = 1.0) -> Callable[..., Any]:
    def start(output: torch.Tensor) -> torch.Tensor:
        signal = torch.zeros_like(output)
        signal[(slice(None), unit, *place)] = value
        return signal

    return start


@pytest.mark.parametrize(
    ("method", "oracle"), [("deconvnet", Deconvolution), ("guided", GuidedBackprop)]
)
@pytest.mark.parametrize("inplace", [False, True])
def test_a_class_is_sent_down_as_captum_sends_it(
    method: Any, oracle: Any, inplace: bool, wrap: Wrap, images: torch.Tensor
) -> None:
    found = send_down(wrap(small_net(inplace=inplace)), images, "8", one(CLASS), method)
    expected = oracle(small_net()).attribute(images.clone().requires_grad_(), target=CLASS)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("layer", [0, 1, 4, 5])
def test_a_unit_is_sent_down_as_captum_sends_it(
    layer: int, wrap: Wrap, images: torch.Tensor
) -> None:
    net, unit, place = small_net(), 3, (4, 5)
    oracle = NeuronDeconvolution(net, net[layer])
    expected = oracle.attribute(images.clone().requires_grad_(), (unit, *place))
    start = one(unit, place)
    found = send_down(wrap(small_net(inplace=True)), images, str(layer), start)
    assert expected.abs().max() > 0.01
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-5)


def test_the_gradient_is_the_gradient(wrap: Wrap, images: torch.Tensor) -> None:
    expected = Saliency(small_net()).attribute(images.clone().requires_grad_(), CLASS, abs=False)
    found = send_down(wrap(small_net(inplace=True)), images, "8", one(CLASS), "gradient")
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-5)


class ByHand(nn.Module):
    """Two layers over five pixels: 1 x 1 filters, then pooling over windows that overlap."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(2, 1, (1, 2))
        self.pool = nn.MaxPool2d((1, 3), (1, 2))
        with torch.no_grad():
            self.first.weight[:] = torch.tensor([[1.0, 2.0, 0.0], [-1.0, 0.0, 3.0]])[
                ..., None, None
            ]
            self.second.weight[:] = torch.tensor([[[[2.0, 3.0]], [[-1.0, 1.0]]]])
            self.second.bias[:] = 100.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.pool(functional.relu(self.first(x[..., :1, :5]))))


def test_two_layers_worked_by_hand(wrap: Wrap) -> None:
    """First maps: (0 0 4 0 0) and (3 0 0 0 0), so both windows of the first hold its third place.

    A signal of 1 becomes (2, 3) in the first map, which add to 5 at the third place, and (-1, 1) in
    the second, whose switches are the first and the third place. The ReLU takes the -1 away,
    although its unit was active, and keeps the 1, although its unit was not. The bias of 100
    plays no part. Pixels get 5 (1, 2, 0) + 1 (-1, 0, 3) at the third place.
    """
    x = torch.zeros(1, 3, 24, 24)
    x[0, 1, 0, 2], x[0, 2, 0, 0] = 2.0, 1.0
    expected = torch.zeros_like(x)
    expected[0, :, 0, 2] = torch.tensor([4.0, 10.0, 3.0])
    torch.testing.assert_close(send_down(wrap(ByHand()), x, "second", one(0, (0, 0))), expected)


@pytest.mark.parametrize("scale", [0.5, 7.0])
def test_a_signal_twice_as_strong_arrives_twice_as_strong(
    scale: float, wrap: Wrap, images: torch.Tensor
) -> None:
    net = wrap(small_net(lrn=True))
    weak = send_down(net, images, "5", one(1, (2, 2)))
    strong = send_down(net, images, "5", one(1, (2, 2), scale))
    torch.testing.assert_close(strong, scale * weak)
    assert weak.abs().max() > 0


def test_contrast_normalisation_is_skipped_on_the_way_down(
    wrap: Wrap, images: torch.Tensor
) -> None:
    """Up there it counts: switches are those of the normalised maps."""
    net = small_net(lrn=True)
    found = send_down(wrap(net), images, "4", one(0, (3, 3)))
    with torch.no_grad():
        maps = net[2](net[1](net[0](images)))
    _, switches = functional.max_pool2d(maps, 3, 2, return_indices=True)
    down = functional.conv_transpose2d(one(0, (3, 3))(net[4](net[3](maps))), net[4].weight)
    unpooled = torch.zeros_like(maps).flatten(2)
    unpooled.scatter_add_(2, switches.flatten(2), down.flatten(2))
    signal = unpooled.view_as(maps).relu()
    expected = functional.conv_transpose2d(signal, net[0].weight, padding=1)[..., :24, :24]
    torch.testing.assert_close(found, expected.detach(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "call", [functional.relu, torch.relu, torch.relu_, torch.Tensor.relu_, functional.relu6]
)
def test_relus_that_are_functions_are_found(
    call: Callable[..., torch.Tensor], wrap: Wrap, images: torch.Tensor
) -> None:
    class Functional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = small_net()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for part in self.parts:
                x = call(x) if isinstance(part, nn.ReLU) else part(x)
            return x

    found = send_down(wrap(Functional()), images, "parts.8", one(CLASS))
    torch.testing.assert_close(found, send_down(wrap(small_net()), images, "8", one(CLASS)))


def test_another_non_linearity_has_no_rule(wrap: Wrap, images: torch.Tensor) -> None:
    net = wrap(nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Conv2d(4, 4, 3)))
    with pytest.raises(ConfigError, match=r"ReLU alone, found gelu.*--method gradient"):
        send_down(net, images, "2", one(0, (0, 0)))
    assert send_down(net, images, "2", one(0, (0, 0)), "gradient").abs().max() > 0
    assert send_down(net, images, "0", one(0, (0, 0))).abs().max() > 0  # it is not on the way


def test_grad_cam_is_captums(wrap: Wrap, images: torch.Tensor) -> None:
    net = small_net()
    expected = LayerGradCam(net, net[4]).attribute(images, CLASS, relu_attributions=True)
    shown = functional.interpolate(expected, (24, 24), mode="bilinear", align_corners=False)[:, 0]
    found = grad_cam(wrap(small_net(inplace=True)), images, "8", CLASS, "4")
    assert expected.max() > 0
    torch.testing.assert_close(found, shown.detach(), atol=1e-6, rtol=1e-5)
    with pytest.raises(ConfigError, match="give --maps another layer"):
        grad_cam(wrap(net), images, "4", 0, "8")


NETS = (
    "alexnet vgg11 squeezenet1_1 resnet18 googlenet densenet121 mobilenet_v2 caffenet inception_v3"
)


@pytest.mark.parametrize("name", NETS.split())
@pytest.mark.slow
def test_every_family_with_relus_is_passed(name: str) -> None:
    from decaf.backbones import load_backbone

    net = load_backbone(name, weights="random", device="cpu")
    side = net.preprocessing.input_size_px
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    signals = {
        method: send_down(net, x, "fc8", one(7), method).numpy()
        for method in ("deconvnet", "guided", "gradient")
    }
    for signal in signals.values():
        assert np.isfinite(signal).all()
        assert np.abs(signal).max() > 0
    assert not np.allclose(signals["deconvnet"], signals["gradient"], atol=0)
