"""Every torchvision classification net has its layers and its own preprocessing."""

import re

import pytest
import torch
from quick import slow_unless
from torchvision.transforms.functional import to_pil_image

from decaf.backbones import default_layers, layer_table, load_backbone
from decaf.backbones import torchvision_nets as nets
from decaf.errors import BackboneError, ConfigError
from decaf.images.views import make_view

SLOW_TO_BUILD = ("regnet_y_128gf", "regnet_x_32gf", "regnet_y_32gf")


FAMILIES = {re.match("[a-z]+", name)[0]: name for name in reversed(nets.names())}
"""The first net of each."""


@pytest.mark.parametrize(
    "name",
    slow_unless(
        lambda name: name in FAMILIES.values(), [n for n in nets.names() if n not in SLOW_TO_BUILD]
    ),
)
def test_every_net_has_features_and_class_scores(name: str) -> None:
    shapes = {row.name: row.shape for row in layer_table(name)}
    assert shapes["fc8"][0] == 1000
    assert len(shapes) > len(nets.layout(name).aliases)
    assert "pool5" in default_layers(name)
    last_hidden = shapes.get("fc7", shapes["pool5"])
    assert 256 <= last_hidden[0] <= 8192
    assert all(0 not in shape for shape in shapes.values())


def test_the_shapes_of_the_classic_layers() -> None:
    shapes = {row.name: row.shape for row in layer_table("vgg16")}
    assert shapes["pool5"] == (512, 7, 7)
    assert shapes["fc6"] == shapes["fc7-pre"] == (4096,)
    assert default_layers("alexnet") == ("pool5", "fc6", "fc7")
    assert default_layers("resnet50") == ("pool5",)


@pytest.mark.parametrize("name", ["swin_t", "convnext_tiny"])
def test_maps_are_channels_height_width(name: str) -> None:
    for row in layer_table(name):
        if len(row.shape) == 3:
            channels, height, width = row.shape
            assert height == width, (name, row)
            assert channels == 3 or channels >= 96, (name, row)


def test_the_preprocessing_is_the_weights_own() -> None:
    entry = nets.weights_entry("resnet50", "IMAGENET1K_V2")
    own = nets.preprocessing(entry)
    assert (own.input_size_px, own.resize_px) == (224, 232)
    pixels = torch.randint(0, 256, (3, 300, 260), dtype=torch.uint8)
    net = load_backbone("resnet18", weights="random", device="cpu")
    transform = nets.weights_entry("resnet18", "imagenet").transforms()
    ours = net.activations(make_view(pixels, "center", net.preprocessing)[None], ["conv1"])
    with torch.no_grad():
        theirs = net._net.net.conv1(transform(to_pil_image(pixels))[None])
    # Pillow and the tensor kernel round the resized pixels differently, by at most one level
    torch.testing.assert_close(ours["conv1"], theirs, atol=0.06, rtol=0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "alexnett"}, ConfigError, "unknown backbone 'alexnett'.*alexnet"),
        ({"weights": "IMAGENET1K_V9"}, ConfigError, "unknown weights.*IMAGENET1K_V1"),
        ({"weights": "missing.safetensors"}, BackboneError, "no such file"),
        ({"precision": "fp8"}, ConfigError, "unknown precision 'fp8'; choose one of: auto, fp32"),
        ({"device": "tpu"}, ConfigError, "unknown device 'tpu'; choose one of: auto, cpu"),
    ],
)
def test_wrong_options_are_named(
    options: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_backbone(**({"name": "alexnet", "weights": "random"} | options))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_missing_gpu_is_an_error_not_a_fallback() -> None:
    with pytest.raises(ConfigError, match="torch finds no GPU here; choose --device cpu"):
        load_backbone("alexnet", weights="random", device="cuda")
