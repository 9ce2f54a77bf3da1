"""Reads the weights in an ONNX file, those of the archived ONNX model zoo among them."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from decaf.errors import BackboneError
from decaf.extras import require_packages

if TYPE_CHECKING:
    import onnx

_PREFIX = "gpu_0/"  # Caffe2's device, in the names of the model zoo's files
_SUFFIXES = ("_w_0", ".weight", "_weight", "_W")


def read_onnx(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the convolutions and fully connected layers of an ONNX graph.

    Parameters
    ----------
    path : pathlib.Path
        A model that holds its initialisers; nothing in it is run.

    Returns
    -------
    dict of str to torch.Tensor
        ``LAYER.weight`` and ``LAYER.bias``, where LAYER is the name of the weights' initialiser
        without its ending (``conv1_w_0`` in the model zoo), with dots for slashes. Matrices
        are ``(outputs, inputs)``.

    Raises
    ------
    ConfigError
        If the package ``onnx`` is not installed.
    BackboneError
        If the file is damaged, or holds no weights.
    """
    require_packages(f"weights from {path}", "onnx")
    import onnx  # noqa: PLC0415 - only ONNX files need it
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - it comes with onnx

    try:
        graph = onnx.load(path).graph
    except (DecodeError, OSError, ValueError) as error:
        raise BackboneError(
            f"cannot read weights from {path}: damaged, or no ONNX model ({error}); "
            "fetch the file again"
        ) from error
    initial = {tensor.name: tensor for tensor in graph.initializer}
    state: dict[str, torch.Tensor] = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in initial:
            layer = _layer_name(node.input[1])
            state[f"{layer}.weight"] = _weight(node, initial[node.input[1]])
            if len(node.input) > 2 and node.input[2] in initial:
                state[f"{layer}.bias"] = _tensor(initial[node.input[2]]).flatten()
    if not state:
        raise BackboneError(
            f"asked for weights from {path}; its graph has no Conv or Gemm nodes with weights; "
            "give a model of one of the nets of `decaf models`"
        )
    return state


def _layer_name(initialiser: str) -> str:
    name = initialiser.removeprefix(_PREFIX)
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name.replace("/", ".")


def _weight(node: "onnx.NodeProto", tensor: "onnx.TensorProto") -> torch.Tensor:
    weight = _tensor(tensor)
    transposed = any(item.name == "transB" and item.i for item in node.attribute)
    return weight.T.contiguous() if node.op_type == "Gemm" and not transposed else weight


def _tensor(tensor: "onnx.TensorProto") -> torch.Tensor:
    from onnx import numpy_helper  # noqa: PLC0415 - only ONNX files need it

    return torch.tensor(numpy_helper.to_array(tensor))
