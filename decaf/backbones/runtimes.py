"""Which runtime computes a net: torch, or ONNX Runtime on a CPU in float32."""

import re
from collections.abc import Mapping

import torch

from decaf.choices import Precision, Runtime
from decaf.errors import ConfigError
from decaf.extras import require_packages
from decaf.progress import log

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")  # the others make the graph that it runs
_SMALL = r"squeezenet1_[01]|mobilenet_v2|efficientnet_b\d|(wide_)?resnet\w+|densenet\d+"
_BY_ONNX = {"AVX2": _SMALL, "AVX512": _SMALL}
"""Nets that ONNX Runtime runs faster by 10 % at least, by what torch calls the processor's
instructions; measured, see docs/adr/0017-runtime.md. The others run by torch."""
_OF_PAPERS = r"(bvlc_)?alexnet|caffenet|rcnn_ilsvrc13|vgg\w+"
_BY_WINOGRAD = {
    "AVX2": rf"{_OF_PAPERS}|zeiler_fergus|cnn_\w+|overfeat_\w+|googlenet_caffe",
    "AVX512": _OF_PAPERS,
}
"""Nets that torch runs faster by Winograd's convolutions, and than ONNX Runtime does."""


def find_runtime(
    runtime: Runtime, name: str, device: torch.device, precision: Precision
) -> Runtime:
    """Return the runtime of a net: ``torch``, ``onnx`` where it was asked for, or else ``auto``.

    Parameters
    ----------
    runtime : str
        What was asked for.
    name : str
        Name of the net.
    device : torch.device
        Where it is.
    precision : str
        What it computes in.

    Returns
    -------
    str
        ``auto`` where ONNX Runtime is here and faster, so that the layers decide: see
        `TorchBackbone.for_layers`.

    Raises
    ------
    ConfigError
        If ``onnx`` was asked for and cannot be had.
    """
    fits = device.type == "cpu" and precision == "fp32"
    if runtime == "onnx" and not fits:
        raise ConfigError(
            f"asked for runtime 'onnx', found {precision} on {device}; it computes in fp32 on a "
            "CPU: choose those, or runtime 'torch'"
        )
    if runtime == "torch" or not fits or not (runtime == "onnx" or is_faster(name)):
        return "torch"
    try:
        require_packages(f"{name} by ONNX Runtime", *_PACKAGES)
    except ConfigError as error:
        if runtime == "onnx":
            raise
        log(f"going on with runtime torch: {error}")
        return "torch"
    return runtime


def is_faster(name: str) -> bool:
    """Return whether ONNX Runtime is faster for a net on this machine's processor."""
    return _named(name, _BY_ONNX)


def gains_by_winograd(name: str, device: torch.device, precision: Precision) -> bool:
    """Return whether torch runs a net faster by Winograd's convolutions, see `winograd`."""
    return device.type == "cpu" and precision == "fp32" and _named(name, _BY_WINOGRAD)


def _named(name: str, nets: Mapping[str, str]) -> bool:
    found = nets.get(torch.backends.cpu.get_cpu_capability())
    return found is not None and re.fullmatch(found, name) is not None
