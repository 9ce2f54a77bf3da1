"""The frozen net of the pipeline: pixels in, named activations out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from decaf.backbones import torchvision_nets
from decaf.backbones.normalize import normalize
from decaf.backbones.taps import LayerShape, TappedNet, layer_shapes, trace
from decaf.backbones.weights import (
    Weights,
    fill,
    local_weights,
    published_weights,
    state_sha256,
)
from decaf.errors import BackboneError, ConfigError
from decaf.types import Preprocessing

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CANONICAL = ("pool5", "fc6", "fc7")
"""The layers that are extracted when none are named, where the net has them."""


@dataclass(frozen=True, eq=False)
class TorchBackbone:
    """A torch net with its weights and its preprocessing.

    Attributes
    ----------
    name : str
        Name of the net.
    weights, weights_sha256 : str
        What the weights are and their SHA-256.
    preprocessing : Preprocessing
        How pixels become the net's input.
    device : torch.device
        Where the net is.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    """

    name: str
    weights: str
    weights_sha256: str
    preprocessing: Preprocessing
    device: torch.device
    precision: str
    _net: TappedNet = field(repr=False)
    _shapes: tuple[LayerShape, ...] = field(repr=False)

    @property
    def layers(self) -> Sequence[str]:
        """Names of the canonical layers and of every module, each in order of depth."""
        return tuple(row.name for row in self._shapes)

    def shape(self, layer: str) -> tuple[int, ...]:
        """Return the shape of one picture's output at `layer`.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        return self._net.shape(layer)

    def activations(self, batch: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return layers of a batch from one forward pass that stops after the deepest.

        Parameters
        ----------
        batch : torch.Tensor
            ``(n, 3, input_size_px, input_size_px)`` uint8 RGB on the backbone's device.
        layers : sequence of str
            Canonical or dotted names.

        Returns
        -------
        dict of str to torch.Tensor
            Float32 maps ``(n, channels, height, width)``, tokens or vectors, not flattened.

        Raises
        ------
        BackboneError
            If a layer is unknown.
        """
        with torch.inference_mode():
            x = normalize(batch, self.preprocessing, PRECISIONS[self.precision])
            outputs = self._net.read(x, layers)
            return {layer: output.float() for layer, output in outputs.items()}


def default_layers(name: str) -> tuple[str, ...]:
    """Return the layers that are extracted when none are named."""
    aliases = torchvision_nets.layout(check_name(name)).aliases
    return tuple(layer for layer in CANONICAL if layer in aliases)


def check_name(name: str) -> str:
    """Return `name` if there is such a net.

    Raises
    ------
    BackboneError
        If there is none.
    """
    if name not in torchvision_nets.names():
        near = [known for known in torchvision_nets.names() if known.startswith(name[:3])]
        msg = f"unknown backbone {name!r}; choose one from `decaf models`"
        raise BackboneError(msg + (f", for instance {', '.join(near)}" if near else ""))
    return name


def layer_table(name: str) -> list[LayerShape]:
    """Return every layer of a net with its shape, from a dry run without weights."""
    layout = torchvision_nets.layout(check_name(name))
    entry = torchvision_nets.weights_entry(name, "imagenet")
    size = torchvision_nets.preprocessing(entry).input_size_px
    return layer_shapes(trace(torchvision_nets.build(name, size, "meta"), size, layout), layout)


def find_device(device: str) -> torch.device:
    """Return the device asked for; ``auto`` is the GPU where there is one.

    Raises
    ------
    ConfigError
        If the device is unknown, or is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device != "cpu" and not device.startswith("cuda"):
        msg = f"unknown device {device!r}; choose one of: auto, cpu, cuda"
        raise ConfigError(msg)
    if device.startswith("cuda") and not torch.cuda.is_available():
        msg = f"asked for device {device!r}; torch finds no GPU here; choose --device cpu"
        raise ConfigError(msg)
    return torch.device(device)


def load_backbone(
    name: str = "alexnet",
    *,
    weights: str = "imagenet",
    device: str = "auto",
    precision: str = "fp32",
    seed: int = 0,
) -> TorchBackbone:
    """Build a net, fill it with weights and put it on a device.

    Parameters
    ----------
    name : str
        A net from `decaf models`.
    weights : str
        ``imagenet``, one of torchvision's entries (``IMAGENET1K_V2``), ``random``, or the path
        of a ``.safetensors`` or ``.pth`` file. Files and random weights take the preprocessing
        of the net's ``imagenet`` weights.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16`` or ``fp16``.
    seed : int
        Seed of random weights.

    Raises
    ------
    BackboneError
        If the net is unknown, or weights are missing or do not fit.
    ConfigError
        If the device or the precision is not to be had.
    """
    check_name(name)
    if precision not in PRECISIONS:
        msg = f"unknown precision {precision!r}; choose one of: {', '.join(PRECISIONS)}"
        raise ConfigError(msg)
    place = find_device(device)
    published = not (weights == "random" or Path(weights).suffix)
    entry = torchvision_nets.weights_entry(name, weights if published else "imagenet")
    preprocessing = torchvision_nets.preprocessing(entry)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = torchvision_nets.build(name, preprocessing.input_size_px, "cpu")
    if weights == "random":
        found = Weights("random", {}, state_sha256(net.state_dict()))
    else:
        found = published_weights(weights, entry) if published else local_weights(Path(weights))
        fill(net, name, found)
    layout = torchvision_nets.layout(name)
    traced = trace(net, preprocessing.input_size_px, layout)
    net = net.to(place, PRECISIONS[precision]).to(memory_format=torch.channels_last)
    return TorchBackbone(
        name=name,
        weights=found.label,
        weights_sha256=found.sha256,
        preprocessing=preprocessing,
        device=place,
        precision=precision,
        _net=TappedNet(net.requires_grad_(requires_grad=False), name, traced, layout),
        _shapes=tuple(layer_shapes(traced, layout)),
    )
