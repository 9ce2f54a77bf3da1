"""The nets of 2012 to 2014 from their published definitions, with Caffe's rules and pixels."""

from functools import partial

import torch
from torch import nn

from decaf.backbones.classic.definitions import CLASSICS, Classic
from decaf.backbones.classic.layers import build_net
from decaf.backbones.definition import Definition
from decaf.backbones.taps import NetLayout, Tap
from decaf.backbones.weights import Weights, file_weights
from decaf.errors import BackboneError, ConfigError
from decaf.types import Preprocessing


def names() -> list[str]:
    """Return the names of the classic nets."""
    return list(CLASSICS)


def define(name: str, weights: str) -> Definition:
    """Return a classic net; its only published weights are called ``imagenet``.

    Raises
    ------
    ConfigError
        If other weights are asked for.
    """
    net = CLASSICS[name]
    if weights != "imagenet":
        msg = (
            f"unknown weights {weights!r} for {name}; choose imagenet, random, or the path of a "
            ".caffemodel, .onnx, .safetensors or .pth file"
        )
        raise ConfigError(msg)
    return Definition(
        name, layout(net), preprocessing(net), partial(build, net), partial(published, name, net)
    )


def layout(net: Classic) -> NetLayout:
    """Return the canonical layers: fully connected ones after the ReLU and, `-pre`, before."""
    aliases = {"pool5": Tap(net.pool5)}
    for alias, module in (("fc6", net.fc6), ("fc7", net.fc7)):
        if module:
            aliases[f"{alias}-pre"] = Tap(module)
            aliases[alias] = Tap(module.replace("fc", "relu"))
    return NetLayout(aliases | {"fc8": Tap(net.fc8)})


def preprocessing(net: Classic) -> Preprocessing:
    """Return resizing, crop and mean; pixels are of 0 to 255 where the deviation is 1."""
    red, green, blue = net.mean
    return Preprocessing(
        input_size_px=net.side_px,
        resize_px=net.resize_px,
        interpolation="bilinear",
        crop="center",
        mean=(red / 255, green / 255, blue / 255),
        std=(net.std / 255,) * 3,
    )


def build(net: Classic, device: str) -> nn.Module:
    """Build a net in evaluation mode."""
    with torch.device(device):
        return build_net(net.layers, net.side_px, bgr=net.bgr).eval()


def published(name: str, net: Classic) -> Weights:
    """Return the weights that the net's authors published.

    Raises
    ------
    BackboneError
        If no file is here and none can be fetched; the message says what to put where.
    """
    if not net.files:
        msg = (
            f"asked for the published weights of {name}; decaf knows no file of them; give a "
            ".safetensors, .onnx or .caffemodel file with these layers, or --weights random"
        )
        raise BackboneError(msg)
    return file_weights(net.files, net.url, net.sha1)
