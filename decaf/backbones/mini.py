"""Decaf-mini, a small net in AlexNet's shape, whose weights the package carries."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from decaf.backbones.definition import Definition
from decaf.backbones.taps import NetLayout, Tap
from decaf.backbones.weights import Weights, local_weights
from decaf.errors import ConfigError
from decaf.types import Preprocessing

N_CLASSES = 200
REMOVABLE = ("conv3", "conv4", "fc6", "fc7")
"""The layers that Zeiler and Fergus remove (2014, table 3)."""

PREPROCESSING = Preprocessing(
    input_size_px=64,
    resize_px=64,
    interpolation="bilinear",
    crop="center",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
WEIGHTS = Path(__file__).parent / "decaf-mini.safetensors"
"""The weights that the package carries; `docs/decaf-mini.md` is their card."""

LAYOUT = NetLayout(
    {
        "pool5": Tap("features.pool5"),
        "fc6-pre": Tap("classifier.norm6"),
        "fc6": Tap("classifier.relu6"),
        "fc7-pre": Tap("classifier.norm7"),
        "fc7": Tap("classifier.relu7"),
        "fc8": Tap("classifier.fc8"),
    }
)

_CHANNELS = {"conv1": 32, "conv2": 96, "conv3": 128, "conv4": 128, "conv5": 128}
_POOL5_PX = 4
_UNITS = {"fc6": 1024, "fc7": 1024}


class MiniNet(nn.Module):
    """Five convolutions and three fully connected layers, for 64 x 64 images of 200 classes.

    The shape is AlexNet's [1]_ at a quarter of its input: pooling after the first, the second
    and the fifth convolution. Batch normalisation stands between each layer and its ReLU.

    Parameters
    ----------
    without : collection of str
        Layers to leave out, of `REMOVABLE`.
    dropout : float
        Share of `pool5` and of `fc6` that is dropped in training.

    Raises
    ------
    ConfigError
        If `without` names a layer that cannot be removed.

    References
    ----------
    .. [1] Krizhevsky et al., ImageNet classification with deep convolutional neural networks,
       NIPS 2012, figure 2.
    """

    def __init__(self, without: Collection[str] = (), dropout: float = 0.0) -> None:
        super().__init__()
        if unknown := sorted(set(without) - set(REMOVABLE)):
            msg = f"cannot remove {', '.join(unknown)}; choose from: {', '.join(REMOVABLE)}"
            raise ConfigError(msg)
        features: OrderedDict[str, nn.Module] = OrderedDict()
        width = 3
        for number, (name, channels) in enumerate(_CHANNELS.items(), 1):
            if name not in without:
                size, stride = (5, 2) if number == 1 else (3, 1)
                features[name] = nn.Conv2d(
                    width, channels, size, stride, padding=size // 2, bias=False
                )
                features[f"norm{number}"] = nn.BatchNorm2d(channels)
                features[f"relu{number}"] = nn.ReLU(inplace=True)
                width = channels
            if number <= 2:
                features[f"pool{number}"] = nn.MaxPool2d(3, 2, padding=1)
        # an input of 64 gives 8 x 8 here, and a plain 2 x 2 pooling; training starts with smaller
        features["pool5"] = nn.AdaptiveMaxPool2d(_POOL5_PX)
        self.features = nn.Sequential(features)

        classifier: OrderedDict[str, nn.Module] = OrderedDict()
        width *= _POOL5_PX**2
        for number, (name, units) in enumerate(_UNITS.items(), 6):
            if name not in without:
                classifier[f"drop{number - 1}"] = nn.Dropout(dropout)
                classifier[name] = nn.Linear(width, units, bias=False)
                classifier[f"norm{number}"] = nn.BatchNorm1d(units)
                classifier[f"relu{number}"] = nn.ReLU(inplace=True)
                width = units
        classifier["fc8"] = nn.Linear(width, N_CLASSES)
        self.classifier = nn.Sequential(classifier)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, 200)`` class scores of ``(n, 3, 64, 64)`` normalised images."""
        scores: Tensor = self.classifier(self.features(x).flatten(1))
        return scores


def names() -> list[str]:
    """Return the net's name."""
    return ["decaf-mini"]


def define(name: str, weights: str) -> Definition:
    """Return decaf-mini, whose ``imagenet`` weights are the package's own.

    Raises
    ------
    ConfigError
        If other published weights are asked for.
    """
    if weights != "imagenet":
        msg = (
            f"unknown weights {weights!r} for {name}; choose imagenet (200 of its classes, carried "
            "in the package), random, or a file"
        )
        raise ConfigError(msg)
    return Definition(name, LAYOUT, PREPROCESSING, _build, _published)


def _build(device: str) -> nn.Module:
    with torch.device(device):
        return MiniNet().eval()


def _published() -> Weights:
    return replace(local_weights(WEIGHTS), label="imagenet")
