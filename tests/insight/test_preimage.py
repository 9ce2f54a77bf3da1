"""Inversion and maximisation: what they find, and that they go on where they stood."""

import numpy as np
import pytest
import torch
from torch import nn

from decaf.backbones import load_backbone, wrap_module
from decaf.backbones.mini import PREPROCESSING
from decaf.errors import ConfigError, DataError
from decaf.insight import preimage
from decaf.insight.asked import Preimage
from decaf.insight.preimage import seek
from decaf.insight.units import inputs_of
from decaf.insight.wishes import activations_of, inversions, minus_mean, net_input, plus_mean
from decaf.prediction import find_images
from decaf.report.preimages import largest_of

CPU = torch.device("cpu")
DEPTHS = ["features.conv1", "features.relu2", "pool5"]


def smooth(contrast=60):
    """An image like a natural one: no noise."""
    wave = torch.linspace(0, 3, 64)
    rows, columns = torch.meshgrid(wave.sin(), wave.cos(), indexing="ij")
    return plus_mean(contrast * torch.stack([rows, columns, rows * columns]), PREPROCESSING)


def invert(net, folder, layers, *, method="2015", pixels=None, tv=None, **asked):
    pixels = smooth() if pixels is None else pixels
    wishes = inversions(net, pixels, layers, method, tv)
    return seek(wishes, Preimage(**asked), CPU, folder, quiet=True)


@pytest.mark.parametrize("method", ["2015", "2016"])
def test_a_net_that_keeps_all_gives_the_image_back(identity, tmp_path, method):
    faint = smooth(15)  # the 2016 method pulls strong colours towards the mean
    asked = {"method": method, "pixels": faint, "tv": 0.0, "starts": 2, "steps": 200}
    found = invert(identity, tmp_path, ["0"], **asked)["0"]
    assert (found.losses < 1e-3).all()
    wanted = faint[None].float()
    back = plus_mean(found.x, PREPROCESSING).float()
    assert (back - wanted).abs().mean() < 2


def test_errors_grow_with_depth(mini, tmp_path):
    found = invert(mini, tmp_path, DEPTHS, steps=90)
    errors = [found[layer].losses.item() for layer in DEPTHS]
    assert errors[0] < 0.05
    assert errors == sorted(errors)
    for one in found.values():
        assert one.energies.shape == (90, 1)
        assert one.energies[-1] < 0.5 * one.energies[0]


@pytest.mark.parametrize("method", ["2016", "yosinski-4"])
def test_a_maximised_unit_is_more_active_than_in_images(mini, tmp_path, method):
    layer, unit = "features.norm2", 7
    images = torch.stack([smooth(), smooth().flip(1), smooth(20), smooth(-90)])
    natural = mini.activations(images, [layer])[layer][:, unit].max().item()
    largest = {unit: max(natural, 0.1)}
    (wish,) = activations_of(mini, layer, [unit], method, largest=largest)
    asked = Preimage(steps=40, starts=2)
    found = seek([wish], asked, CPU, tmp_path, quiet=True)[wish.name]
    drawn = plus_mean(found.x, PREPROCESSING)
    reached = mini.activations(drawn, [layer])[layer][:, unit].amax((1, 2))
    assert (reached > largest[unit]).all()
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize("method", ["yosinski-1", "yosinski-2", "yosinski-3"])
def test_activations_rise(tmp_path, method):
    """Of a net whose activations are of the size that the published rates are for."""
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 4, 9, 4)
    conv.weight.data *= 30
    net = wrap_module(nn.Sequential(conv), PREPROCESSING, device="cpu")
    wish = activations_of(net, "0", [2], method)
    one = seek(wish, Preimage(steps=30), CPU, tmp_path, quiet=True)["0-2"]
    natural = net.activations(smooth()[None], ["0"])["0"][:, 2].max().item()
    assert -one.energies[-1] > max(natural, -2 * one.energies[0])


def test_gradients_against_finite_differences():
    torch.manual_seed(0)
    first, second = nn.Conv2d(3, 4, 5, 4), nn.Conv2d(4, 2, 3)
    conv = nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU())
    net = wrap_module(conv, PREPROCESSING, device="cpu")
    for wish in [
        *inversions(net, smooth(), ["1", "2"]),
        *activations_of(net, "3", [1], "2016", largest={1: 1.0}),
        *activations_of(net, "2", [0], "yosinski-1"),
    ]:
        draw = torch.Generator().manual_seed(1)
        x = 50 * torch.randn(1, 3, 64, 64, generator=draw)
        gradient, _ = preimage._gradient(wish, x, (0, 0))
        way = gradient / gradient.norm() + torch.randn(x.shape, generator=draw) / x.numel() ** 0.5
        with torch.no_grad():
            up, down = (
                (wish.loss(x + step * way) + wish.method.penalty(x + step * way)).double()
                for step in (0.3, -0.3)
            )
        np.testing.assert_allclose((up - down) / 0.6, (gradient * way).sum(), rtol=1e-2)


@pytest.mark.parametrize("method", ["2015", "2016"])
def test_it_goes_on_after_a_stop_as_if_there_had_been_none(mini, tmp_path, method, monkeypatch):
    asked = {"layers": ["features.relu2", "fc7"], "method": method, "steps": 14, "starts": 2}
    expected = invert(mini, tmp_path / "whole", **asked)
    # the file is written after each step; a kill leaves any of them
    monkeypatch.setattr(preimage, "_SECONDS_BETWEEN_FILES", -1.0)
    seen = iter(range(17))
    update = preimage._stepped

    def stopped(*given):
        if next(seen, None) is None:
            raise KeyboardInterrupt
        return update(*given)

    monkeypatch.setattr(preimage, "_stepped", stopped)
    with pytest.raises(KeyboardInterrupt):
        invert(mini, tmp_path / "stopped", **asked)
    assert {file.name for file in (tmp_path / "stopped").iterdir()} == {
        "features.relu2.safetensors", "fc7.safetensors"
    }  # fmt: skip
    left = []
    monkeypatch.setattr(preimage, "_stepped", lambda *given: left.append(1) or update(*given))
    found = invert(mini, tmp_path / "stopped", **asked)
    assert len(left) == 28 - 17
    for layer, one in found.items():
        assert torch.equal(one.x, expected[layer].x)
        assert np.array_equal(one.energies, expected[layer].energies)


def test_seeds_decide_and_starts_are_apart(mini, tmp_path):
    def of(name, **asked):
        return invert(mini, tmp_path / name, ["pool5"], steps=6, **asked)["pool5"].x

    first = of("a", starts=2)
    assert torch.equal(first, of("b", starts=2))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, of("c", starts=2, seed=1))


def test_the_minutes_are_said_beforehand(mini, tmp_path, capsys):
    seek(inversions(mini, smooth(), ["fc7"]), Preimage(steps=4), CPU, tmp_path)
    assert "4 steps of 1 images will take about 0.0 minutes" in capsys.readouterr().err


def test_pixels_go_to_the_net_and_back(mini):
    pixels = torch.stack([smooth(), smooth().flip(1)])
    x = minus_mean(pixels, PREPROCESSING)
    assert torch.equal(plus_mean(x, PREPROCESSING), pixels)
    found = mini.with_gradients(net_input(x, PREPROCESSING), ["fc7"])["fc7"]
    np.testing.assert_allclose(found, mini.activations(pixels, ["fc7"])["fc7"], atol=1e-4)


def test_what_cannot_be_asked_is_refused(mini, tmp_path):
    dead = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    nn.init.constant_(dead[0].bias, -1e3)
    silent = wrap_module(dead, PREPROCESSING, device="cpu")
    with pytest.raises(ConfigError, match="all 0 for this image"):
        inversions(silent, smooth(), ["1"])
    with pytest.raises(ConfigError, match="found 0 to 127"):
        activations_of(mini, "pool5", [128])
    for largest in (None, {3: 0.0}):
        with pytest.raises(ConfigError, match="give --images"):
            activations_of(mini, "pool5", [3], "2016", largest=largest)
    half = load_backbone("decaf-mini", device="cpu", precision="bf16")
    with pytest.raises(ConfigError, match="in fp32"):
        inversions(half, smooth(), ["fc7"])
    (tmp_path / "fc7.safetensors").write_bytes(b"no")
    with pytest.raises(DataError, match="damaged"):
        invert(mini, tmp_path, ["fc7"])


@pytest.mark.data
@pytest.mark.slow
def test_errors_of_a_real_net_grow_with_depth(assets, tmp_path):
    weights = str(assets / "weights" / "alexnet-conv.safetensors")
    net = load_backbone("alexnet", weights=weights, device="cpu")
    image = next((assets / "data" / "imagenet-200" / "n02086240").iterdir())
    (pixels,) = inputs_of(net, [str(image)])
    layers = ["features.0", "features.6", "pool5"]
    found = invert(net, tmp_path, layers, pixels=pixels, steps=200)
    errors = [found[layer].losses.item() for layer in layers]
    assert errors[0] <= 0.05
    assert errors == sorted(errors)


@pytest.mark.data
@pytest.mark.slow
def test_a_real_class_is_more_active_than_in_any_image(assets, tmp_path):
    weights = str(assets / "weights" / "squeezenet1_1.safetensors")
    net = load_backbone("squeezenet1_1", weights=weights, device="cpu")
    paths = list(find_images([assets / "data" / "imagenet-200"]))
    largest = largest_of(net, paths, "fc8", [130])  # flamingo
    (wish,) = activations_of(net, "fc8", [130], "2016", largest=largest)
    found = seek([wish], Preimage(steps=40), CPU, tmp_path, quiet=True)[wish.name]
    drawn = plus_mean(found.x, net.preprocessing)
    assert net.activations(drawn, ["fc8"])["fc8"][:, 130].item() > largest[130]
