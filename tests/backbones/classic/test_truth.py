"""Every canonical layer of every classic net is what onnxruntime makes of the same weights.

The graphs are written from the definitions alone; no torch module has a hand in them.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from decaf.backbones import classic
from decaf.backbones.backbone import load_backbone
from decaf.backbones.classic.definitions import CLASSICS
from decaf.backbones.classic.layers import (
    Conv,
    Inception,
    Layer,
    Linear,
    Norm,
    Pool,
)

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

FACTOR = 8  # of the published number of channels; sizes, strides, groups and constants are whole


def narrow(layers: Sequence[Layer], factor: int) -> tuple[Layer, ...]:
    """Return a definition with fewer channels, all else as published."""

    def less(layer: Layer) -> Layer:
        match layer:
            case Conv(channels=channels):
                return replace(layer, channels=channels // factor)
            case Linear(units=units, relu=True):
                return replace(layer, units=units // (factor * factor))
            case Inception():
                widths = {
                    key: value // factor for key, value in vars(layer).items() if key != "name"
                }
                return replace(layer, **widths)
        return layer

    return tuple(less(layer) for layer in layers)


class OnnxGraph:
    """Nodes and initialisers under the names that the ONNX model zoo gives them."""

    def __init__(self, side: int, prefix: str = "") -> None:
        self.prefix, self.top = prefix, "data_0"
        self.nodes: list[object] = []
        self.weights: dict[str, np.ndarray] = {}
        self.blobs: dict[str, str] = {}  # layer, `-pre` before its ReLU: name of the blob
        self.side = side
        self.rng = np.random.default_rng(0)

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def weighted(self, kind: str, name: str, shape: Sequence[int], **attributes: object) -> str:
        """Add a node with weights that keep the activations' scale."""
        key = self.prefix + name.replace(".", "/")
        scale = np.sqrt(2 / np.prod(shape[1:]))
        self.weights[f"{key}_w_0"] = self.rng.normal(0, scale, shape).astype(np.float32)
        self.weights[f"{key}_b_0"] = self.rng.normal(0, 0.1, shape[0]).astype(np.float32)
        inputs = [self.top, f"{key}_w_0", f"{key}_b_0"]
        self.blobs[f"{name}-pre"] = self.node(kind, inputs, f"{key}_1", **attributes)
        return self.blobs[f"{name}-pre"]

    def relu(self, name: str) -> str:
        self.blobs[name] = self.node("Relu", [self.blobs[f"{name}-pre"]], f"{name}_2")
        return self.blobs[name]

    def add(self, layers: Sequence[Layer]) -> None:
        width, flat = 3, False
        side = self.side
        for layer in layers:
            match layer:
                case Conv(name, channels, size, stride, pad, groups):
                    self.weighted(
                        "Conv",
                        name,
                        (channels, width // groups, size, size),
                        kernel_shape=[size, size],
                        strides=[stride, stride],
                        pads=[pad] * 4,
                        group=groups,
                    )
                    self.top, width = self.relu(name), channels
                    side = (side + 2 * pad - size) // stride + 1
                case Pool(name, size, stride, mean):
                    self.top = self.node(
                        "AveragePool" if mean else "MaxPool",
                        [self.top],
                        f"{name}_1",
                        kernel_shape=[size, size],
                        strides=[stride, stride],
                        ceil_mode=1,
                    )
                    self.blobs[name] = self.top
                    side = -(-(side - size) // stride) + 1
                case Norm(name, size, alpha, beta, k):
                    self.top = self.node(
                        "LRN", [self.top], f"{name}_1", size=size, alpha=alpha, beta=beta, bias=k
                    )
                case Inception():
                    width = self.inception(layer, width)
                case Linear(name, units, relu):
                    if not flat:
                        self.top = self.node("Flatten", [self.top], "flat")
                        width, flat = width * side * side, True
                    self.top = self.weighted("Gemm", name, (units, width), transB=1)
                    width = units
                    if relu:
                        self.top = self.relu(name)

    def inception(self, layer: Inception, width: int) -> int:
        start, ends = self.top, []
        branches = (
            (("1x1", layer.n1x1, 1),),
            (("3x3_reduce", layer.n3x3_reduce, 1), ("3x3", layer.n3x3, 3)),
            (("5x5_reduce", layer.n5x5_reduce, 1), ("5x5", layer.n5x5, 5)),
            (("pool_proj", layer.pool_proj, 1),),
        )
        for branch in branches:
            self.top, inputs = start, width
            if branch[0][0] == "pool_proj":
                self.top = self.node(
                    "MaxPool",
                    [start],
                    f"{layer.name}/pool",
                    kernel_shape=[3, 3],
                    strides=[1, 1],
                    pads=[1] * 4,
                )
            for part, channels, size in branch:
                name = f"{layer.name}.{part}"
                self.weighted("Conv", name, (channels, inputs, size, size), pads=[size // 2] * 4)
                self.top, inputs = self.relu(name), channels
            ends.append(self.top)
        self.top = self.node("Concat", ends, f"{layer.name}/output", axis=1)
        self.blobs[layer.name] = self.top
        return layer.n1x1 + layer.n3x3 + layer.n5x5 + layer.pool_proj

    def model(self) -> bytes:
        graph = onnx.helper.make_graph(
            self.nodes,
            "classic",
            [
                onnx.helper.make_tensor_value_info(
                    "data_0", onnx.TensorProto.FLOAT, [None, 3, None, None]
                )
            ],
            [
                onnx.helper.make_tensor_value_info(blob, onnx.TensorProto.FLOAT, None)
                for blob in self.blobs.values()
            ],
            [onnx.numpy_helper.from_array(value, key) for key, value in self.weights.items()],
        )
        model = onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8
        )
        return bytes(model.SerializeToString())


@pytest.fixture
def narrow_classics(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, net in CLASSICS.items():
        monkeypatch.setitem(
            CLASSICS, name, classic.Classic(**vars(net) | {"layers": narrow(net.layers, FACTOR)})
        )


def truth(graph: OnnxGraph, pixels: np.ndarray, path: Path) -> dict[str, np.ndarray]:
    path.write_bytes(graph.model())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip(graph.blobs, session.run(None, {"data_0": pixels}), strict=True))


def input_of(name: str, rgb: np.ndarray) -> np.ndarray:
    """Return what the net's authors feed it, by their rule and not by decaf's code."""
    x = rgb.astype(np.float32)
    if name.startswith("overfeat"):
        return (x - 118.380948) / 61.896913
    mean = {
        "vgg": (103.939, 116.779, 123.68),
        "cnn": (103.939, 116.779, 123.68),
        "goo": (104, 117, 123),
    }
    bgr = mean.get(name[:3], (104.00698793, 116.66876762, 122.67891434))
    return x[:, ::-1] - np.float32(bgr).reshape(3, 1, 1)


@pytest.mark.usefixtures("narrow_classics")
@pytest.mark.parametrize("name", CLASSICS)
def test_every_canonical_layer_is_onnxruntimes(name: str, tmp_path: Path) -> None:
    net = CLASSICS[name]
    graph = OnnxGraph(net.side_px, prefix="gpu_0/" if name == "zeiler_fergus" else "")
    graph.add(net.layers)
    pixels = np.random.default_rng(1).integers(
        0, 256, (2, 3, net.side_px, net.side_px), dtype=np.uint8
    )
    expected = truth(graph, np.ascontiguousarray(input_of(name, pixels)), tmp_path / "net.onnx")
    backbone = load_backbone(name, weights=str(tmp_path / "net.onnx"), device="cpu")
    layers = list(classic.layout(net).aliases)
    found = backbone.activations(torch.from_numpy(pixels), layers)
    blobs = {"pool5": net.pool5, "fc8": f"{net.fc8}-pre"}
    for alias, module in (("fc6", net.fc6), ("fc7", net.fc7)):
        blobs |= {f"{alias}-pre": f"{module}-pre", alias: module}
    for layer in layers:
        want = expected[blobs[layer]]
        np.testing.assert_allclose(
            found[layer].numpy(), want, rtol=1e-4, atol=1e-4 * np.abs(want).max(), err_msg=layer
        )
        assert want.std() > 0.01  # the activations did not die on the way
