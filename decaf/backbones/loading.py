"""From the name of a net to the loaded net on its device."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from decaf.backbones.backbone import PRECISIONS, TorchBackbone, canonical_layers
from decaf.backbones.definition import Definition
from decaf.backbones.families import define
from decaf.backbones.fitting import Fitting, fill, fitted_trace
from decaf.backbones.onnx_net import OnnxNet
from decaf.backbones.own_nets import define_module
from decaf.backbones.runtimes import find_runtime, gains_by_winograd
from decaf.backbones.taps import TappedNet, layer_shapes
from decaf.backbones.weights import Weights, local_weights, state_sha256
from decaf.backbones.winograd import with_winograd
from decaf.choices import Precision, Runtime, checked
from decaf.device import find_device, find_devices
from decaf.errors import ConfigError
from decaf.types import Preprocessing


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
    weights: str | Weights = "imagenet",
    device: str = "auto",
    precision: Precision = "fp32",
    runtime: Runtime = "torch",
    seed: int = 0,
    allow_code: bool = False,
) -> TorchBackbone:
    """Build a net, fill it with weights and put it on a device.

    Parameters
    ----------
    name : str or TorchBackbone
        A net from `decaf models`, ``timm/NAME``, or ``package.module:function``; a loaded net is
        returned as it is, and other options than its own are refused.
    weights : str or Weights
        ``imagenet``, one of torchvision's entries (``IMAGENET1K_V2``), ``random``, or the path
        of a ``.safetensors``, ``.onnx``, ``.caffemodel`` or ``.pth`` file; or what such a file
        holds. All but entries take the preprocessing of the net's ``imagenet`` weights.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16``, ``fp16``, or ``auto``: ``bf16`` where the device computes in it.
    runtime : str
        ``torch``; ``onnx``: ONNX Runtime, on a CPU in fp32; or ``auto``: the faster one where the
        layers are known, as in `extract`.
    seed : int
        Seed of random weights.
    allow_code : bool
        Whether ``package.module:function`` may be imported and called.

    Raises
    ------
    BackboneError
        If the net is unknown, or weights are missing or do not fit.
    ConfigError
        If the device, the precision or the runtime is not to be had, or code is not allowed; or a
        loaded net has others than those that are given.
    """
    if isinstance(name, TorchBackbone):
        _require_own(
            name, str(weights), device, precision=precision, runtime=runtime, allow_code=allow_code
        )
        return name
    named = isinstance(weights, str) and not (weights == "random" or Path(weights).suffix)
    entry = str(weights) if named else "imagenet"
    definition = define(name, entry, allow_code=allow_code)
    return _load(definition, weights, device, precision=precision, runtime=runtime, seed=seed)


def _require_own(
    net: TorchBackbone,
    weights: str,
    device: str,
    *,
    precision: str,
    runtime: str,
    allow_code: bool,
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
        "runtime": (runtime, net.runtime, runtime in ("torch", "auto", net.runtime)),
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
    runtime: Runtime = "torch",
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
    runtime : str
        ``torch``, ``onnx`` or ``auto``, as for `load_backbone`.

    Raises
    ------
    ConfigError
        If the device, the precision or the runtime is not to be had.
    """
    definition = define_module(net, preprocessing, name)
    return _load(definition, "imagenet", device, precision=precision, runtime=runtime, seed=0)


def _weights(definition: Definition, weights: str | Weights) -> Weights:
    if isinstance(weights, Weights):
        return weights
    return local_weights(Path(weights)) if Path(weights).suffix else definition.published()


def _load(
    definition: Definition,
    weights: str | Weights,
    device: str,
    *,
    precision: Precision,
    runtime: Runtime,
    seed: int,
) -> TorchBackbone:
    place = find_device(device)
    precision = find_precision(precision, place)
    runtime = find_runtime(runtime, definition.name, place, precision)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = definition.build("cpu")
    if weights == "random" and net.state_dict():
        found, fit = Weights("random", {}, state_sha256(net.state_dict())), Fitting()
    else:
        found = _weights(definition, weights)
        bare = not net.state_dict()  # such as pixels
        fit = Fitting() if bare else fill(net, definition.name, found.label, found.state)
    size_px, layout = definition.preprocessing.input_size_px, definition.layout
    traced = fitted_trace(net, size_px, layout, fit, name=definition.name, label=found.label)
    net = net.to(place, PRECISIONS[precision]).to(memory_format=torch.channels_last)
    net.requires_grad_(requires_grad=False)
    tapped = reader = TappedNet(net, definition.name, traced, layout)
    if runtime == "torch" and gains_by_winograd(definition.name, place, precision):
        fast = with_winograd(net)
        reader = tapped if fast is net else TappedNet(fast, definition.name, traced, layout)
    return TorchBackbone(
        name=definition.name,
        weights=found.label,
        weights_sha256=found.sha256,
        preprocessing=definition.preprocessing,
        device=place,
        precision=precision,
        runtime=runtime,
        weights_fit=fit.said,
        default_layers=tuple(
            layer
            for layer in canonical_layers(layout)
            if layout.aliases[layer] not in traced.lack.taps
        ),
        prefix_tokens=layout.prefix_tokens,
        _net=tapped,
        _reader=reader,
        _shapes=tuple(layer_shapes(traced, layout)),
        _onnx=OnnxNet(tapped, size_px),
    )
