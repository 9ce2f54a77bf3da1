"""Normalised rows and probabilities: by hand, and the same for numpy, torch and ONNX."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from quick import slow_unless

from decaf.rowwise import normalized, probabilities

FEATURES = np.array([[3, -4, 0], [0, 0, 0], [1e-3, 2e-3, 5], [0, 1e-12, 0]], np.float32)


def test_normalisation_by_hand():
    X = np.array([[3, -4], [0, 0]], np.float32)
    np.testing.assert_array_equal(normalized(X, "none"), X)
    np.testing.assert_allclose(normalized(X, "l2"), [[0.6, -0.8], [0, 0]])
    length = np.hypot(9, 16)
    np.testing.assert_allclose(normalized(X, "signed-square"), [[9 / length, -16 / length], [0, 0]])


def test_probabilities_by_hand():
    logits = np.log(np.array([[1.0, 2.0, 1.0]]))
    np.testing.assert_allclose(probabilities(logits, exclusive=True), [[0.25, 0.5, 0.25]])
    np.testing.assert_allclose(probabilities(logits, exclusive=False), [[1 / 2, 2 / 3, 1 / 2]])
    two = probabilities(np.log(np.array([3.0])), exclusive=True)
    np.testing.assert_allclose(two, [[0.25, 0.75]])


def test_a_row_of_zeros_has_a_finite_gradient():
    X = torch.zeros(2, 3, requires_grad=True)
    normalized(X, "l2").sum().backward()
    assert X.grad.isfinite().all()


class _Graph(torch.nn.Module):
    def __init__(self, how, exclusive):
        super().__init__()
        self.how, self.exclusive = how, exclusive

    def forward(self, X):
        return probabilities(5 * normalized(X, self.how), exclusive=self.exclusive)


@pytest.mark.parametrize(
    ("how", "exclusive"),
    slow_unless(
        lambda one: one == ("signed-square", True),
        product(["none", "l2", "signed-square"], [True, False]),
    ),
)
def test_torch_and_onnx_give_what_numpy_gives(how, exclusive, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    pytest.importorskip("onnxscript", reason="needs the extra onnx")
    wanted = probabilities(5 * normalized(FEATURES, how), exclusive=exclusive)
    graph, features = _Graph(how, exclusive), torch.from_numpy(FEATURES)
    np.testing.assert_allclose(graph(features).numpy(), wanted, rtol=1e-5, atol=1e-7)
    path = tmp_path / "graph.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, about itself
        torch.onnx.export(graph, (features,), path, input_names=["X"], dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"X": FEATURES})[0], wanted, rtol=1e-5, atol=1e-7)
