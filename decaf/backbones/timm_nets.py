"""Nets of timm, as ``timm/NAME``: weights, preprocessing and the classifier as timm states them."""

import math
from difflib import get_close_matches
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import nn

from decaf.backbones.definition import Definition
from decaf.backbones.taps import NetLayout, Tap
from decaf.backbones.weights import Weights, state_sha256
from decaf.errors import BackboneError, ConfigError
from decaf.extras import missing_extra
from decaf.images.views import CROPS
from decaf.types import Preprocessing

PREFIX = "timm/"

_VGG = {
    "pool5": Tap("features"),
    "fc6-pre": Tap("pre_logits.fc1"),
    "fc6": Tap("pre_logits.act1"),
    "fc7-pre": Tap("pre_logits.fc2"),
    "fc7": Tap("pre_logits.act2"),
    "fc8": Tap("head.fc"),
}


def define(name: str, weights: str) -> Definition:
    """Return one of timm's nets; weights other than the default have a tag in the name.

    Raises
    ------
    ConfigError
        If timm is not installed.
    BackboneError
        If timm has no such net, or decaf cannot feed it.
    """
    timm = _timm(name)
    plain = name.removeprefix(PREFIX)
    if not timm.is_model(plain):
        near = get_close_matches(plain, timm.list_models())
        msg = f"unknown backbone {name!r}; timm has no such net; choose from timm.list_models()"
        raise ConfigError(msg + (f", for instance {', '.join(near)}" if near else ""))
    if weights != "imagenet":
        msg = (
            f"unknown weights {weights!r} for {name}; choose imagenet (timm's default), random, a "
            f"file, or a name with a tag, as {name}.TAG"
        )
        raise ConfigError(msg)
    net = build(plain, "meta")
    config = timm.data.resolve_model_data_config(net)
    return Definition(
        name,
        layout(net),
        preprocessing(name, config),
        partial(build, plain),
        partial(published, plain),
    )


def _timm(name: str) -> ModuleType:
    try:
        import timm  # noqa: PLC0415 - an extra, and slow to load
        import timm.data  # noqa: PLC0415 - part of the same extra
    except ImportError as error:
        raise missing_extra(name, "timm") from error
    module: ModuleType = timm
    return module


def layout(net: nn.Module) -> NetLayout:
    """Return the canonical layers: what enters timm's classifier, and its scores."""
    prefix_tokens = int(getattr(net, "num_prefix_tokens", 0))
    if "pre_logits.fc1" in dict(net.named_modules()):
        return NetLayout(_VGG, square=True)
    config: Any = net.pretrained_cfg
    classifier = config["classifier"]
    module = classifier if isinstance(classifier, str) else classifier[0]
    aliases = {"pool5": Tap(module, enters=True)}
    if config["num_classes"]:
        aliases["fc8"] = Tap(module)
    return NetLayout(aliases, square=True, prefix_tokens=prefix_tokens)


def preprocessing(name: str, config: dict[str, Any]) -> Preprocessing:
    """Return timm's evaluation transform.

    Raises
    ------
    BackboneError
        If the input is not square RGB, or resized in a way that decaf does not offer.
    """
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["interpolation"] not in ("bilinear", "bicubic"):
        msg = (
            f"{name} takes {channels} x {height} x {width} input with {config['interpolation']} "
            "interpolation; decaf feeds square RGB, bilinear or bicubic; choose another net"
        )
        raise BackboneError(msg)
    if config["crop_mode"] not in CROPS:
        msg = (
            f"{name} takes images by the crop mode {config['crop_mode']!r}; decaf knows "
            f"{', '.join(CROPS)}; choose another net"
        )
        raise BackboneError(msg)
    return Preprocessing(
        input_size_px=height,
        resize_px=math.floor(height / config["crop_pct"]),
        interpolation=config["interpolation"],
        crop=config["crop_mode"],
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
    )


def build(name: str, device: str) -> nn.Module:
    """Build a net in evaluation mode, with timm's own initialisation."""
    timm = _timm(name)
    with torch.device(device):
        net: nn.Module = timm.create_model(name, pretrained=False)
    return net.eval()


def published(name: str) -> Weights:
    """Return the weights that timm publishes, from its cache or the network.

    Raises
    ------
    BackboneError
        If they cannot be had.
    """
    timm = _timm(name)
    try:
        state = timm.create_model(name, pretrained=True).state_dict()
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        msg = (
            f"asked for timm's weights of {name}; they cannot be had ({reason}); choose "
            "a local file"
        )
        raise BackboneError(msg) from error
    return Weights("imagenet", state, state_sha256(state))
