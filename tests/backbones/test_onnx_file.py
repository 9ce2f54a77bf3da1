"""Weights are taken from an ONNX file's initialisers, under their layers' names."""

from pathlib import Path

import numpy as np
import pytest

from decaf.backbones.onnx_file import read_onnx
from decaf.errors import BackboneError

onnx = pytest.importorskip("onnx")


def write(path: Path, nodes: list[object], weights: dict[str, np.ndarray]) -> Path:
    graph = onnx.helper.make_graph(
        nodes,
        "net",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, None)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(value, key) for key, value in weights.items()],
    )
    onnx.save(onnx.helper.make_model(graph), path)
    return path


@pytest.mark.parametrize(
    ("weight", "bias", "layer"),
    [
        ("conv1_w_0", "conv1_b_0", "conv1"),
        ("gpu_0/conv1_w_0", "gpu_0/conv1_b_0", "conv1"),
        ("inception_3a/1x1_w_0", "inception_3a/1x1_b_0", "inception_3a.1x1"),
        ("conv1.weight", "conv1.bias", "conv1"),
    ],
)
def test_layers_keep_their_names(weight: str, bias: str, layer: str, tmp_path: Path) -> None:
    node = onnx.helper.make_node("Conv", ["x", weight, bias], ["y"])
    values = {weight: np.ones((2, 3, 1, 1), "f4"), bias: np.arange(2, dtype="f4")}
    state = read_onnx(write(tmp_path / "net.onnx", [node], values))
    assert list(state) == [f"{layer}.weight", f"{layer}.bias"]
    np.testing.assert_array_equal(state[f"{layer}.bias"], [0, 1])


@pytest.mark.parametrize("transposed", [0, 1])
def test_matrices_are_outputs_by_inputs(transposed: int, tmp_path: Path) -> None:
    weight = np.arange(6, dtype="f4").reshape(2, 3)
    node = onnx.helper.make_node("Gemm", ["x", "fc6_w_0"], ["y"], transB=transposed)
    stored = weight if transposed else np.ascontiguousarray(weight.T)
    state = read_onnx(write(tmp_path / "net.onnx", [node], {"fc6_w_0": stored}))
    np.testing.assert_array_equal(state["fc6.weight"], weight)


def test_a_graph_without_weights(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(BackboneError, match="no Conv or Gemm nodes with weights"):
        read_onnx(write(tmp_path / "net.onnx", [node], {}))


@pytest.mark.parametrize("content", [b"not a net", b"\x00" * 9])
def test_a_damaged_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(BackboneError, match="damaged, or no ONNX model"):
        read_onnx(tmp_path / "net.onnx")
