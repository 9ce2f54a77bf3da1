"""Every family of nets, by one small net each, through every check."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from quick import slow_unless
from torch import nn

from decaf.backbones import (
    TorchBackbone,
    default_layers,
    layer_table,
    load_backbone,
    pool_features,
    wrap_module,
)
from decaf.errors import ConfigError
from decaf.images.views import make_view
from decaf.types import Preprocessing

OWN = "mine"


@dataclass(frozen=True)
class Net:
    """What a net states: the shapes of some layers, and which layers are the defaults."""

    shapes: dict[str, tuple[int, ...]]
    defaults: tuple[str, ...] = ("pool5",)


LARGE = ("alexnet", "caffenet")
FULLY_CONNECTED = ("pool5", "fc6", "fc7")
NETS = {
    "decaf-mini": Net(
        {"pool5": (128, 4, 4), "fc6": (1024,), "fc7-pre": (1024,), "fc8": (200,)}, FULLY_CONNECTED
    ),
    "squeezenet1_1": Net(
        {"pool5": (512, 13, 13), "fc8": (1000, 1, 1), "features.3": (128, 55, 55)}
    ),
    "resnet18": Net({"pool5": (512,), "fc8": (1000,), "layer4": (512, 7, 7)}),
    "alexnet": Net(
        {"pool5": (256, 6, 6), "fc6": (4096,), "fc7-pre": (4096,), "fc8": (1000,)}, FULLY_CONNECTED
    ),
    "caffenet": Net(
        {"conv1": (96, 55, 55), "pool5": (256, 6, 6), "fc6": (4096,), "fc8": (1000,)},
        FULLY_CONNECTED,
    ),
    "timm/vit_tiny_patch16_224": Net({"pool5": (192,), "fc8": (1000,), "norm": (197, 192)}),
    "timm/convnext_atto": Net({"pool5": (320,), "fc8": (1000,)}),
    OWN: Net({"0": (4, 7, 7), "3": (4,)}, ()),
}
BY = " by "
NETS |= {f"{name}{BY}onnx": NETS[name] for name in ("decaf-mini", OWN)}


@cache
def loaded(name: str, seed: int = 0, precision: str = "fp32") -> TorchBackbone:
    name, _, runtime = name.partition(BY)
    how = {"device": "cpu", "precision": precision}
    if precision == "fp32":
        how["runtime"] = runtime or "torch"
    if name != OWN:
        return load_backbone(name, weights="random", seed=seed, **how)
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    preprocessing = Preprocessing(16, 16, "bilinear", "center", (0, 0, 0), (1, 1, 1))
    return wrap_module(module, preprocessing, name=OWN, **how)


def pixels(net: TorchBackbone, n_images: int = 3) -> torch.Tensor:
    chance = torch.Generator().manual_seed(n_images)
    shape = (n_images, 3, 70, 90)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=chance)
    return torch.stack([make_view(image, "center", net.preprocessing) for image in images])


def check_layers_have_the_stated_shapes(name: str, stated: Net) -> None:
    net = loaded(name)
    read = net.activations(pixels(net), list(stated.shapes))
    assert {layer: tuple(value.shape[1:]) for layer, value in read.items()} == stated.shapes
    assert {layer: net.shape(layer) for layer in stated.shapes} == stated.shapes
    assert all(value.dtype == torch.float32 and value.isfinite().all() for value in read.values())
    name = name.partition(BY)[0]
    if name != OWN:
        shapes = {row.name: row.shape for row in layer_table(name)}
        assert {layer: shapes[layer] for layer in stated.shapes} == stated.shapes
        assert default_layers(name) == stated.defaults
        assert set(shapes) == set(net.layers)


def check_rows_do_not_depend_on_the_batch(name: str, stated: Net) -> None:
    net = loaded(name)
    layer, images = next(iter(stated.shapes)), pixels(net, 9)
    together = net.activations(images, [layer])[layer]
    for row in (0, 8):
        alone = net.activations(images[row : row + 1], [layer])[layer]
        torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


def check_a_layer_before_the_relu_is_clamped_to_the_one_after(name: str, stated: Net) -> None:
    net = loaded(name)
    after = [layer for layer in stated.defaults if layer.startswith("fc")]
    before = [f"{layer}-pre" for layer in after]
    assert set(before) <= set(net.layers)
    if not before:
        return
    read = net.activations(pixels(net), [*before, *after])
    for one, other in zip(before, after, strict=True):
        assert (read[one] < 0).any()
        torch.testing.assert_close(read[one].clamp(min=0), read[other])


def check_layers_are_the_same_alone_and_together(name: str, stated: Net) -> None:
    net = loaded(name)
    images = pixels(net)
    together = net.activations(images, list(stated.shapes))
    for layer, value in together.items():
        torch.testing.assert_close(net.activations(images, [layer])[layer], value)


def check_a_wrong_layer_is_a_config_error(name: str, stated: Net) -> None:
    net = loaded(name)
    with pytest.raises(ConfigError, match=rf"unknown layer 'fc99' for {net.name}; .*choose one of"):
        net.activations(pixels(net, 1), ["fc99"])


def check_weights_follow_the_seed(name: str, stated: Net) -> None:
    again = loaded.__wrapped__(name)
    assert loaded(name).weights_sha256 == again.weights_sha256
    assert loaded(name, seed=1).weights_sha256 != again.weights_sha256


def check_bfloat16_is_close_to_float32(name: str, stated: Net) -> None:
    layer, found = next(iter(stated.shapes)), []
    for precision in ("fp32", "bf16"):
        net = loaded(name, precision=precision)
        found.append(net.activations(pixels(net), [layer])[layer])
    assert found[1].dtype == torch.float32
    assert (found[0] - found[1]).norm() < 0.05 * found[0].norm()


def check_every_pooling_of_maps_is_a_row(name: str, stated: Net) -> None:
    net = loaded(name)
    maps = [layer for layer, shape in stated.shapes.items() if len(shape) == 3]
    read = net.activations(pixels(net), maps) if maps else {}
    for layer, value in read.items():
        for pool, n_places in (
            ("none", value[0, 0].numel()),
            ("avg", 1),
            ("max", 1),
            ("grid:2", 4),
            *((pool, 1) for pool in ("gem:3", "spoc", "crow", "rmac")),
        ):
            if pool == "grid:2" and min(value.shape[2:]) < 2:
                continue
            assert pool_features(value, pool).shape == (3, n_places * value.shape[1]), (layer, pool)


CHECKS = (
    check_layers_have_the_stated_shapes,
    check_rows_do_not_depend_on_the_batch,
    check_a_layer_before_the_relu_is_clamped_to_the_one_after,
    check_layers_are_the_same_alone_and_together,
    check_a_wrong_layer_is_a_config_error,
    check_weights_follow_the_seed,
    check_bfloat16_is_close_to_float32,
    check_every_pooling_of_maps_is_a_row,
)


@pytest.mark.parametrize(
    "name", slow_unless(lambda name: name not in LARGE and BY not in name, NETS)
)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_net_passes(check: Callable[[str, Net], None], name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm")
    check(name, NETS[name])
