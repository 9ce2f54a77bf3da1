"""Classification nets of torchvision: names, canonical layers, weights and preprocessing."""

import re
from functools import partial
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import WeightsEnum, get_model, get_model_weights, list_models

from decaf.backbones.definition import Definition
from decaf.backbones.taps import NetLayout, Tap
from decaf.backbones.weights import published_weights
from decaf.choices import did_you_mean
from decaf.errors import BackboneError, ConfigError
from decaf.types import Preprocessing

# pool5 is what enters the fully connected part, fc6 and fc7 its hidden layers after the ReLU,
# fc8 the class scores (DeCAF, section 3; Krizhevsky et al. 2012, figure 2). Nets with one
# fully connected layer have pool5 and fc8 only.
_ALEXNET = {
    "pool5": Tap("avgpool"),
    "fc6-pre": Tap("classifier.1"),
    "fc6": Tap("classifier.2"),
    "fc7-pre": Tap("classifier.4"),
    "fc7": Tap("classifier.5"),
    "fc8": Tap("classifier.6"),
}
_VGG = {
    "pool5": Tap("avgpool"),
    "fc6-pre": Tap("classifier.0"),
    "fc6": Tap("classifier.1"),
    "fc7-pre": Tap("classifier.3"),
    "fc7": Tap("classifier.4"),
    "fc8": Tap("classifier.6"),
}


def _one_linear(module: str) -> dict[str, Tap]:
    return {"pool5": Tap(module, enters=True), "fc8": Tap(module)}


_LAYOUTS: dict[str, NetLayout] = {
    r"alexnet": NetLayout(_ALEXNET),
    r"vgg.*": NetLayout(_VGG),
    r"squeezenet.*": NetLayout({"pool5": Tap("features"), "fc8": Tap("classifier.3")}),
    r"(resnet|resnext|wide_resnet|regnet|shufflenet|googlenet|inception).*": NetLayout(
        _one_linear("fc")
    ),
    r"densenet.*": NetLayout(_one_linear("classifier")),
    r"(mnasnet|mobilenet_v2|efficientnet).*": NetLayout(_one_linear("classifier.1")),
    r"mobilenet_v3.*": NetLayout(
        {
            "pool5": Tap("avgpool"),
            "fc7-pre": Tap("classifier.0"),
            "fc7": Tap("classifier.1"),
            "fc8": Tap("classifier.3"),
        }
    ),
    r"convnext.*": NetLayout(
        _one_linear("classifier.2"), channels_last=r"features\.\d+\.\d+\.block\.[1-5]"
    ),
    r"swin.*": NetLayout(
        _one_linear("head"), channels_last=r"norm|features(\.0(\.[12])?|\.[1-9].*)?"
    ),
    r"vit.*": NetLayout(_one_linear("heads.head"), prefix_tokens=1),
    r"maxvit.*": NetLayout(
        {
            "pool5": Tap("classifier.3", enters=True),
            "fc7-pre": Tap("classifier.3"),
            "fc7": Tap("classifier.4"),
            "fc8": Tap("classifier.5"),
        },
        windows=r".*_attention\.(partition|attn_layer|mlp_layer|stochastic|departition_swap).*",
    ),
}


def names() -> list[str]:
    """Return the names of torchvision's classification nets."""
    return list(list_models(module=torchvision.models))


def define(name: str, weights: str) -> Definition:
    """Return a net of torchvision's with one of its published weights."""
    entry = weights_entry(name, weights)
    own = preprocessing(entry)
    return Definition(
        name,
        layout(name),
        own,
        partial(build, name, own.input_size_px),
        partial(published_weights, weights, entry),
    )


def layout(name: str) -> NetLayout:
    """Return the canonical layers of a net."""
    for pattern, found in _LAYOUTS.items():
        if re.fullmatch(pattern, name):
            return found
    msg = f"no canonical layers are known for {name!r}; choose a net from `decaf models`"
    raise BackboneError(msg)


def weights_entry(name: str, weights: str) -> WeightsEnum:
    """Return torchvision's entry for published weights.

    Parameters
    ----------
    name : str
        Name of the net.
    weights : str
        ``imagenet`` (``IMAGENET1K_V1``, the recipe of the literature, or the net's only entry
        where there is no such), or the name of one of torchvision's entries.

    Raises
    ------
    ConfigError
        If torchvision has no such entry.
    """
    entries = get_model_weights(name).__members__
    if weights == "imagenet":
        return entries.get("IMAGENET1K_V1") or next(iter(entries.values()))
    if weights in entries:
        return entries[weights]
    hint = did_you_mean(weights, ("imagenet", "random", *entries))
    msg = (
        f"unknown weights {weights!r} for {name}; {hint}choose imagenet, random, "
        f"{', '.join(entries)}, or the path of a .safetensors or .pth file"
    )
    raise ConfigError(msg)


def preprocessing(entry: WeightsEnum) -> Preprocessing:
    """Return the evaluation transform that belongs to published weights."""
    transform = entry.transforms()
    return Preprocessing(
        input_size_px=transform.crop_size[0],
        resize_px=transform.resize_size[0],
        interpolation=transform.interpolation.value,
        crop="center",
        mean=tuple(transform.mean),
        std=tuple(transform.std),
    )


def build(name: str, input_size_px: int, device: str) -> nn.Module:
    """Build a net in evaluation mode, with torchvision's own initialisation.

    Parameters
    ----------
    name : str
        Name of the net.
    input_size_px : int
        Side of the input; vision transformers are built for it.
    device : str
        ``cpu``, or ``meta`` for a dry run.
    """
    options: dict[str, Any] = {}
    if name.startswith("vit"):
        options = {"image_size": input_size_px}
    elif name in ("googlenet", "inception_v3"):
        # the published weights hold the auxiliary heads and expect this input scaling
        options = {"aux_logits": True, "transform_input": True, "init_weights": True}
    if device == "meta" and not name.startswith("regnet"):  # RegNet computes with its parameters
        with torch.device("meta"):
            net: nn.Module = get_model(name, weights=None, **options)
    else:
        net = get_model(name, weights=None, **options).to(device)
    return net.eval()
