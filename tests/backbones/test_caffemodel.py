"""Caffe models are read as OpenCV reads them, in both forms of their layers."""

import contextlib
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from caffe_files import field, layer, varint
from hypothesis import given, settings
from hypothesis import strategies as st

from decaf.backbones import classic, load_backbone
from decaf.backbones.caffemodel import read_caffemodel
from decaf.backbones.classic.definitions import CLASSICS
from decaf.backbones.classic.layers import Conv, Layer, Linear, Norm, Pool
from decaf.errors import BackboneError


class CaffeNet:
    """A net's definition as prototxt, and weights as a caffemodel."""

    def __init__(self, layers: Sequence[Layer], side: int, version: int) -> None:
        self.text = (
            f'name: "net" input: "data" input_dim: 2 input_dim: 3 '
            f"input_dim: {side} input_dim: {side}\n"
        )
        self.model = field(1, b"net")
        self.top, self.width, self.version = "data", 3, version
        self.rng = np.random.default_rng(0)
        self.side = side
        for each in layers:
            self.add(each)

    def layer(self, name: str, kind: str, top: str, parameters: str = "") -> None:
        self.text += (
            f'layer {{ name: "{name}" type: "{kind}" bottom: "{self.top}" top: "{top}" '
            f"{parameters} }}\n"
        )
        self.top = top

    def weights(self, name: str, kind: str, shape: Sequence[int]) -> None:
        scale = np.sqrt(2 / np.prod(shape[1:]))
        blobs = [self.rng.normal(0, scale, shape), self.rng.normal(0, 0.1, shape[0])]
        self.model += layer(name, kind, blobs, self.version)

    def add(self, each: Layer) -> None:
        match each:
            case Conv(name, channels, size, stride, pad, groups):
                self.weights(name, "Convolution", (channels, self.width // groups, size, size))
                self.layer(
                    name, "Convolution", f"{name}-pre",
                    f"convolution_param {{ num_output: {channels} kernel_size: {size} "
                    f"stride: {stride} pad: {pad} group: {groups} }}",
                )  # fmt: skip
                self.layer(f"relu-{name}", "ReLU", name)
                self.width, self.side = channels, (self.side + 2 * pad - size) // stride + 1
            case Pool(name, size, stride):
                self.layer(
                    name, "Pooling", name,
                    f"pooling_param {{ pool: MAX kernel_size: {size} stride: {stride} }}",
                )  # fmt: skip
                self.side = -(-(self.side - size) // stride) + 1
            case Norm(name, size, alpha, beta, k):
                self.layer(
                    name, "LRN", name,
                    f"lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} k: {k} }}",
                )  # fmt: skip
            case Linear(name, units, relu):
                if self.side:
                    self.width, self.side = self.width * self.side**2, 0
                self.weights(name, "InnerProduct", (units, self.width))
                top = f"{name}-pre" if relu else name
                self.layer(
                    name, "InnerProduct", top, f"inner_product_param {{ num_output: {units} }}"
                )
                if relu:
                    self.layer(f"relu-{name}", "ReLU", name)
                self.width = units


def narrow(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    def less(each: Layer) -> Layer:
        match each:
            case Conv(name, channels, size, stride, pad, groups):
                return Conv(name, channels // 8, size, stride, pad, groups)
            case Linear(name, units, True):
                return Linear(name, units // 64)
            case Norm():
                return replace(each, k=1.0)  # OpenCV takes no other; onnxruntime's test does
        return each

    return tuple(less(each) for each in layers)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["caffenet", "cnn_s"])
def test_every_canonical_layer_is_opencvs(
    name: str, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV does not read Caffe models")
    net = CLASSICS[name]
    net = classic.Classic(**vars(net) | {"layers": narrow(net.layers)})
    monkeypatch.setitem(CLASSICS, name, net)
    written = CaffeNet(net.layers, net.side_px, version)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(written.model)
    theirs = cv2.dnn.readNetFromCaffe(
        np.frombuffer(written.text.encode(), np.uint8), np.frombuffer(written.model, np.uint8)
    )
    pixels = np.random.default_rng(1).integers(
        0, 256, (2, 3, net.side_px, net.side_px), dtype=np.uint8
    )
    bgr_mean = np.float32(net.mean[::-1]).reshape(3, 1, 1)
    theirs.setInput(np.ascontiguousarray(pixels[:, ::-1] - bgr_mean))
    backbone = load_backbone(name, weights=str(path), device="cpu")
    blobs = {"pool5": "pool5", "fc6": "relu-fc6", "fc7": "relu-fc7", "fc8": "fc8"}
    found = backbone.activations(torch.from_numpy(pixels), list(blobs))
    for ours, layer_name in blobs.items():
        want = theirs.forward(layer_name)
        scale = np.abs(want).max()
        np.testing.assert_allclose(
            found[ours].numpy(), want, rtol=1e-4, atol=1e-4 * scale, err_msg=ours
        )
        assert want.std() > 0.01


@pytest.mark.parametrize("version", [1, 2])
def test_both_forms_give_the_same_weights(version: int, tmp_path: Path) -> None:
    weight, bias = np.arange(6.0).reshape(2, 3), np.array([7.0, 8.0])
    path = tmp_path / "net.caffemodel"
    model = field(1, b"n") + layer("loss3/classifier", "InnerProduct", [weight, bias], version)
    path.write_bytes(model)
    state = read_caffemodel(path)
    assert list(state) == ["loss3.classifier.weight", "loss3.classifier.bias"]
    np.testing.assert_array_equal(state["loss3.classifier.weight"], weight)
    np.testing.assert_array_equal(state["loss3.classifier.bias"], bias)


def test_values_that_are_not_packed_are_read(tmp_path: Path) -> None:
    values = b"".join(varint(5 << 3 | 5) + struct.pack("<f", value) for value in (1.5, 2.5))
    data = field(7, field(1, varint(2))) + values
    path = tmp_path / "net.caffemodel"
    path.write_bytes(field(100, field(1, b"conv") + field(2, b"Convolution") + field(7, data)))
    np.testing.assert_array_equal(read_caffemodel(path)["conv.weight"], [1.5, 2.5])


@pytest.mark.parametrize("end", [1, 3, 40, -1])
def test_a_cut_file_is_damaged(end: int, tmp_path: Path) -> None:
    model = layer("conv1", "Convolution", [np.ones((2, 3, 3, 3)), np.ones(2)], 2)
    path = tmp_path / "net.caffemodel"
    path.write_bytes(model[:end])
    with pytest.raises(BackboneError, match="damaged, or no Caffe model"):
        read_caffemodel(path)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 60), byte=st.integers(0, 255))
def test_damage_ends_in_an_error_or_other_weights(place: int, byte: int) -> None:
    model = bytearray(
        layer("conv1", "Convolution", [np.ones((1, 1, 2, 2)), np.ones(1)], 1 + place % 2)
    )
    model[place % len(model)] = byte
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.caffemodel"
        path.write_bytes(model)
        with contextlib.suppress(BackboneError):
            read_caffemodel(path)


@pytest.mark.parametrize("content", [b"", field(1, b"a net of no layers")])
def test_a_file_without_weights(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(BackboneError, match="no layers with weights"):
        read_caffemodel(path)
