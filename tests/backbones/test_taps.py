"""Layers are read where their names say, together, and no deeper than needed."""

import threading

import pytest
import torch
from quick import slow_unless
from torch import nn

from decaf.backbones import load_backbone
from decaf.backbones.taps import NetLayout, Tap, TappedNet, layer_shapes, trace
from decaf.errors import ConfigError


class Shared(nn.Module):
    """A net that calls one in-place ReLU twice and has a layer past what is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.second = nn.Conv2d(4, 5, 1)
        self.relu = nn.ReLU(inplace=True)
        self.deep = nn.Conv2d(5, 6, 1)
        self.n_deep = 0
        self.n_first = 0
        self.deep.register_forward_hook(lambda *_: setattr(self, "n_deep", self.n_deep + 1))
        self.first.register_forward_hook(lambda *_: setattr(self, "n_first", self.n_first + 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.deep(self.relu(self.second(self.relu(self.first(x)))))


@pytest.fixture
def shared() -> TappedNet:
    torch.manual_seed(0)
    net, layout = Shared().eval(), NetLayout({"pool5": Tap("deep", enters=True)})
    tapped = TappedNet(net, "shared", trace(net, 8, layout), layout)
    net.n_deep = net.n_first = 0
    return tapped


def test_an_inplace_relu_does_not_reach_back_into_the_layer_before_it(shared: TappedNet) -> None:
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        read = shared.read(x, ["second", "relu", "pool5"])
    assert (read["second"] < 0).any()
    torch.testing.assert_close(read["second"].clamp(min=0), read["relu"])
    torch.testing.assert_close(read["pool5"], read["relu"])


def test_all_layers_come_from_one_pass_that_stops_after_the_deepest(shared: TappedNet) -> None:
    x = torch.randn(2, 3, 8, 8)
    shared.read(x, ["first", "relu"])
    assert (shared.net.n_first, shared.net.n_deep) == (1, 0)
    shared.read(x, ["deep", "first"])
    assert (shared.net.n_first, shared.net.n_deep) == (2, 1)


def test_a_module_called_twice_gives_its_last_output(shared: TappedNet) -> None:
    assert shared.read(torch.randn(2, 3, 8, 8), ["relu"])["relu"].shape == (2, 5, 8, 8)


def test_threads_do_not_mix_their_passes(shared: TappedNet) -> None:
    inputs = [torch.randn(1 + i, 3, 8, 8) for i in range(4)]
    expected = [shared.read(x, ["second"])["second"] for x in inputs]
    found: dict[int, list[torch.Tensor]] = {}

    def work(number: int) -> None:
        found[number] = [shared.read(inputs[number], ["second"])["second"] for _ in range(50)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, outputs in found.items():
        for output in outputs:
            torch.testing.assert_close(output, expected[number])


def test_an_unknown_layer_names_the_known_ones(shared: TappedNet) -> None:
    with pytest.raises(
        ConfigError, match=r"unknown layer 'fc9' for shared; .*choose one of: pool5"
    ):
        shared.read(torch.randn(1, 3, 8, 8), ["fc9"])


def test_maps_are_channels_first_and_windows_are_not_offered() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Identity()
            self.window = nn.Identity()
            self.fc = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.last(x.permute(0, 2, 3, 1))
            return self.fc(self.window(x).mean((1, 2)))

    net, layout = Odd().eval(), NetLayout({}, channels_last="last", windows="window")
    traced = trace(net, 6, layout)
    assert [row.name for row in layer_shapes(traced, layout)] == ["last", "fc"]
    x = torch.randn(2, 3, 6, 6)
    torch.testing.assert_close(TappedNet(net, "odd", traced, layout).read(x, ["last"])["last"], x)


@pytest.mark.parametrize("runtime", slow_unless("torch".__eq__, ["torch", "onnx"]))
def test_alexnet_layers_before_and_after_the_relu(runtime: str) -> None:
    net = load_backbone("alexnet", weights="random", device="cpu", runtime=runtime)
    pixels = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    layers = ["pool5", "fc6-pre", "fc6", "fc7-pre", "fc7", "fc8", "classifier.1"]
    read = net.activations(pixels, layers)
    assert read["pool5"].shape == (2, 256, 6, 6)
    for layer in ("fc6", "fc7"):
        assert read[layer].shape == (2, 4096)
        assert (read[f"{layer}-pre"] < 0).any()
        torch.testing.assert_close(read[f"{layer}-pre"].clamp(min=0), read[layer])
    torch.testing.assert_close(read["classifier.1"], read["fc6-pre"])
    modules = net._net.net.classifier
    with torch.no_grad():
        torch.testing.assert_close(modules[1](read["pool5"].flatten(1)), read["fc6-pre"])
        torch.testing.assert_close(modules[6](read["fc7"]), read["fc8"])
