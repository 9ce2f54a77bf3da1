"""The frozen net of the pipeline: pixels in, named activations out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from decaf.backbones.code import code_sha256
from decaf.backbones.definition import Definition
from decaf.backbones.families import define
from decaf.backbones.fitting import Fitting, fill, fitted_trace
from decaf.backbones.normalize import normalize
from decaf.backbones.own_nets import define_module
from decaf.backbones.taps import LayerShape, NetLayout, TappedNet, layer_shapes, trace
from decaf.backbones.weights import Weights, local_weights, state_sha256
from decaf.backbones.winograd import WinogradConv2d, use_winograd
from decaf.choices import Precision, checked
from decaf.device import find_device, find_devices
from decaf.errors import BackboneError, ConfigError
from decaf.types import Preprocessing

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CANONICAL = ("pool5", "fc6", "fc7", "pixels")
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
    weights_fit : str
        What of the weights was renamed, is missing or was left out; empty where all fitted.
    default_layers : tuple of str
        What is extracted when no layers are named.
    prefix_tokens : int
        Number of a transformer's tokens before those of the patches.
    """

    name: str
    weights: str
    weights_sha256: str
    preprocessing: Preprocessing
    device: torch.device
    precision: Precision
    weights_fit: str
    default_layers: tuple[str, ...]
    prefix_tokens: int
    _net: TappedNet = field(repr=False)
    _shapes: tuple[LayerShape, ...] = field(repr=False)

    @property
    def layers(self) -> Sequence[str]:
        """Names of the canonical layers and of every module, each in order of depth."""
        return tuple(row.name for row in self._shapes)

    @cached_property
    def code_sha256(self) -> str:
        """SHA-256 of what the net computes with but its weights."""
        return code_sha256(self._net.net)

    @property
    def convolutions(self) -> str:
        """How convolutions are computed: ``direct``, or ``winograd`` where some gain by that."""
        kinds = {type(module) for module in self._net.net.modules()}
        return "winograd" if WinogradConv2d in kinds else "direct"

    def shape(self, layer: str) -> tuple[int, ...]:
        """Return the shape of one image's output at `layer`.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        return self._net.shape(layer)

    def depth(self, layer: str) -> int:
        """Return the place of `layer` in the order of the pass.

        Raises
        ------
        BackboneError
            If there is no such layer.
        """
        return self._net.depth(layer)

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

    def activations_after(
        self, layer: str, given: torch.Tensor, layers: Sequence[str]
    ) -> dict[str, torch.Tensor]:
        """Return layers of images whose outputs at a shallower layer are at hand.

        Parameters
        ----------
        layer : str
            The shallower layer; `follows` says whether it will do.
        given : torch.Tensor
            ``(n, ...)`` float32 outputs of it, on the backbone's device.
        layers : sequence of str
            Canonical or dotted names of deeper ones.

        Returns
        -------
        dict of str to torch.Tensor
            As `activations` does.

        Raises
        ------
        BackboneError
            If a layer is unknown, or `layer` is passed more than once.
        RuntimeError
            If the net cannot run from there.
        """
        size_px = self.preprocessing.input_size_px
        with torch.inference_mode():
            given = given.to(PRECISIONS[self.precision])
            none = given.new_empty((0, 3, size_px, size_px))
            outputs = self._net.read_after(none, given, layer, layers)
            return {name: output.float() for name, output in outputs.items()}

    def follows(self, layer: str, layers: Sequence[str]) -> bool:
        """Return whether `layers` can be computed from `layer` alone, to the bit.

        It is tried on two random images.
        """
        if layer in layers:
            return False
        size_px = self.preprocessing.input_size_px
        chance = torch.Generator().manual_seed(0)
        shape = (2, 3, size_px, size_px)
        pixels = torch.randint(0, 256, shape, generator=chance, dtype=torch.uint8)
        whole = self.activations(pixels.to(self.device), (layer, *layers))
        try:
            found = self.activations_after(layer, whole[layer].contiguous(), layers)
        except (BackboneError, RuntimeError):
            return False
        return all(torch.equal(found[name], whole[name]) for name in layers)


def default_layers(name: str) -> tuple[str, ...]:
    """Return the layers that are extracted when none are named."""
    return _canonical(define(name).layout)


def _canonical(layout: NetLayout) -> tuple[str, ...]:
    return tuple(layer for layer in CANONICAL if layer in layout.aliases)


def layer_table(name: str, *, allow_code: bool = False) -> list[LayerShape]:
    """Return every layer of a net with its shape, from a dry run without weights."""
    net = define(name, allow_code=allow_code)
    traced = trace(net.build("meta"), net.preprocessing.input_size_px, net.layout)
    return layer_shapes(traced, net.layout)


@checked
def find_precision(precision: Precision, device: torch.device) -> Precision:
    """Return the precision asked for; ``auto`` is bf16 where the device computes in it.

    Features in bf16 stay within 5 % (in norm) of those in fp32, and are then the faster ones.

    Raises
    ------
    ConfigError
        If the precision is unknown.
    """
    if precision == "auto":
        return "bf16" if _computes_in_bf16(device) else "fp32"
    return precision


def _computes_in_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    can = torch.cpu.get_capabilities()
    return bool(can.get("avx512_bf16") or can.get("amx_bf16") or can.get("bf16"))


@checked
def load_backbone(
    name: str | TorchBackbone = "alexnet",
    *,
    weights: str = "imagenet",
    device: str = "auto",
    precision: Precision = "fp32",
    seed: int = 0,
    allow_code: bool = False,
) -> TorchBackbone:
    """Build a net, fill it with weights and put it on a device.

    Parameters
    ----------
    name : str or TorchBackbone
        A net from `decaf models`, ``timm/NAME``, or ``package.module:function``; a loaded net is
        returned as it is, and other options than its own are refused.
    weights : str
        ``imagenet``, one of torchvision's entries (``IMAGENET1K_V2``), ``random``, or the path
        of a ``.safetensors``, ``.onnx``, ``.caffemodel`` or ``.pth`` file. Files and random
        weights take the preprocessing of the net's ``imagenet`` weights.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16``, ``fp16``, or ``auto``: ``bf16`` where the device computes in it.
    seed : int
        Seed of random weights.
    allow_code : bool
        Whether ``package.module:function`` may be imported and called.

    Raises
    ------
    BackboneError
        If the net is unknown, or weights are missing or do not fit.
    ConfigError
        If the device or the precision is not to be had, or code is not allowed; or a loaded net
        has others than those that are given.
    """
    if isinstance(name, TorchBackbone):
        _require_own(name, weights, device, precision, allow_code=allow_code)
        return name
    published = not (weights == "random" or Path(weights).suffix)
    entry = weights if published else "imagenet"
    return _load(define(name, entry, allow_code=allow_code), weights, device, precision, seed)


def _require_own(
    net: TorchBackbone, weights: str, device: str, precision: str, *, allow_code: bool
) -> None:
    """Refuse options of loading that a loaded net does not have; defaults ask for nothing."""
    own: dict[str, tuple[object, object, bool]] = {
        "weights": (weights, net.weights, weights in ("imagenet", net.weights)),
        "device": (
            device,
            net.device,
            device == "auto" or find_device(device).type == net.device.type,
        ),
        "precision": (precision, net.precision, precision in ("fp32", "auto", net.precision)),
        "allow_code": (allow_code, False, not allow_code),
    }
    for option, (asked, found, fits) in own.items():
        if not fits:
            raise ConfigError(
                f"asked for {option} {asked!r} of the loaded net {net.name}, found {found!s}; load "
                "the net so, or leave the option out"
            )


def load_everywhere(
    name: str | TorchBackbone, *, device: str = "auto", **options: Any
) -> list[TorchBackbone]:
    """Return the net on each device that `device` means: every GPU for ``cuda:all``, else one.

    Parameters
    ----------
    name : str
        As for `load_backbone`.
    device : str
        ``cuda:all``, or as for `load_backbone`.
    **options
        The other arguments of `load_backbone`.

    Raises
    ------
    BackboneError
        If the net is unknown, or weights are missing or do not fit.
    ConfigError
        If the device or the precision is not to be had, or code is not allowed.
    """
    if not isinstance(name, str):
        return [load_backbone(name, device=device, **options)]
    return [load_backbone(name, device=str(one), **options) for one in find_devices(device)]


@checked
def wrap_module(
    net: nn.Module,
    preprocessing: Preprocessing,
    *,
    name: str = "own",
    device: str = "auto",
    precision: Precision = "fp32",
) -> TorchBackbone:
    """Make a backbone of a net that is already built and holds its weights.

    Parameters
    ----------
    net : torch.nn.Module
        Takes ``(n, 3, S, S)`` float tensors; its layers are its modules' dotted names. It is
        moved to the device and put into evaluation mode.
    preprocessing : Preprocessing
        What the net was trained with.
    name : str
        What results call it.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16``, ``fp16``, or ``auto``: ``bf16`` where the device computes in it.

    Raises
    ------
    ConfigError
        If the device or the precision is not to be had.
    """
    return _load(define_module(net, preprocessing, name), "imagenet", device, precision, 0)


def _load(
    definition: Definition, weights: str, device: str, precision: Precision, seed: int
) -> TorchBackbone:
    place = find_device(device)
    precision = find_precision(precision, place)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = definition.build("cpu")
    if weights == "random" and net.state_dict():
        found, fit = Weights("random", {}, state_sha256(net.state_dict())), Fitting()
    else:
        found = local_weights(Path(weights)) if Path(weights).suffix else definition.published()
        bare = not net.state_dict()  # such as pixels
        fit = Fitting() if bare else fill(net, definition.name, found.label, found.state)
    size_px, layout = definition.preprocessing.input_size_px, definition.layout
    traced = fitted_trace(net, size_px, layout, fit, name=definition.name, label=found.label)
    net = net.to(place, PRECISIONS[precision]).to(memory_format=torch.channels_last)
    net.requires_grad_(requires_grad=False)
    if place.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        use_winograd(net)  # not measured on other processors
    return TorchBackbone(
        name=definition.name,
        weights=found.label,
        weights_sha256=found.sha256,
        preprocessing=definition.preprocessing,
        device=place,
        precision=precision,
        weights_fit=fit.said,
        default_layers=tuple(
            layer
            for layer in _canonical(definition.layout)
            if definition.layout.aliases[layer] not in traced.lack.taps
        ),
        prefix_tokens=definition.layout.prefix_tokens,
        _net=TappedNet(net, definition.name, traced, definition.layout),
        _shapes=tuple(layer_shapes(traced, definition.layout)),
    )
