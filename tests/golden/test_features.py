"""The features of each net stay what they were: a change of library or code that alters them shows.

`features.json` holds, for each net, the SHA-256 of the input and of the weights, and of each layer
its shape, its norm and eight of its values. `python tests/golden/test_features.py` writes it anew;
`README.md` says when that is right.
"""

import hashlib
import json
import os
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch
from quick import slow_unless

from decaf.backbones import load_backbone
from decaf.backbones.weights import state_sha256

EXPECTED = Path(__file__).with_name("features.json")
ASSETS = os.environ.get("DECAF_ASSETS", "")
SQUEEZENET = "weights/squeezenet1_0-deepcompression.safetensors"
CASES = {  # net and weights: layers
    "decaf-mini imagenet": ("pool5", "fc6-pre", "fc6", "fc7", "fc8"),
    "decaf-mini made": ("pool5", "fc6", "fc7", "fc8"),
    f"squeezenet1_0 {SQUEEZENET}": ("features.3", "pool5", "fc8"),
    "alexnet made": ("pool5", "fc6-pre", "fc6", "fc7", "fc8"),
    "resnet18 made": ("layer2", "pool5", "fc8"),
    "squeezenet1_1 made": ("pool5", "fc8"),
    "caffenet made": ("norm1", "pool5", "fc6-pre", "fc6", "fc7", "fc8"),
    "googlenet_caffe made": ("inception_3a", "pool5", "fc8"),
    "timm/vit_tiny_patch16_224 made": ("blocks.0", "pool5", "fc8"),
}


def image(size_px: int) -> torch.Tensor:
    """Return ``(1, 3, size_px, size_px)`` uint8: slopes, edges and fine texture, from integers."""
    row, column = np.indices((size_px, size_px))
    planes = [
        (row * 3 + column * 5) % 256,
        ((row // 9) ^ (column // 7)) * 37 % 256,
        (row * column + 11 * (row // 16)) % 256,
    ]
    return torch.from_numpy(np.stack(planes).astype(np.uint8))[None]


def make_weights(state: dict[str, torch.Tensor]) -> None:
    """Fill a net's state with uniform numbers of its layers' scale, the same on every machine."""
    numbers = np.random.default_rng(0)
    for value in state.values():
        if not value.is_floating_point():
            continue
        made = numbers.random(value.shape, dtype=np.float32) * 2 - 1
        if value.ndim > 1:
            made *= np.float32((6 / np.prod(value.shape[1:])) ** 0.5)
        else:  # biases, and the statistics and factors of normalisation, around 1
            made = 1 + made / 4
        value.copy_(torch.from_numpy(made))


def measure(case: str, runtime: str = "torch") -> dict[str, Any]:
    name, _, weights = case.partition(" ")
    with TemporaryDirectory() as folder:
        path = Path(ASSETS) / weights if "/" in weights else weights
        if weights == "made":
            state = load_backbone(name, weights="random", device="cpu")._net.net.state_dict()
            make_weights(state)
            path = Path(folder, "made.pth")
            torch.save(state, path)
        net = load_backbone(name, weights=str(path), device="cpu", runtime=runtime)
    pixels = image(net.preprocessing.input_size_px)
    found: dict[str, Any] = {
        "input_sha256": hashlib.sha256(pixels.numpy().tobytes()).hexdigest(),
        "weights_sha256": state_sha256(net._net.net.state_dict()),
    }
    for layer, values in net.activations(pixels, CASES[case]).items():
        flat = values.flatten().double().numpy()
        places = np.linspace(0, flat.size - 1, 8).astype(int)
        found[layer] = {
            "shape": list(values.shape[1:]),
            "norm": float(np.linalg.norm(flat)),
            "values": flat[places].tolist(),
        }
    return found


def is_quick(run: tuple[str, str]) -> bool:
    case, runtime = run
    return runtime == "torch" or case in ("decaf-mini imagenet", "squeezenet1_1 made")


@pytest.mark.parametrize(
    ("case", "runtime"), slow_unless(is_quick, product(CASES, ("torch", "onnx")))
)
def test_features_are_as_they_were(case: str, runtime: str) -> None:
    if "timm" in case:
        pytest.importorskip("timm")
    if SQUEEZENET in case and not ASSETS:
        pytest.skip("DECAF_ASSETS is not set")
    expected = json.loads(EXPECTED.read_text())[case]
    found = measure(case, runtime)
    assert found["input_sha256"] == expected["input_sha256"]
    assert found["weights_sha256"] == expected["weights_sha256"], (
        "other weights, not other features"
    )
    for layer in CASES[case]:
        want, have = expected[layer], found[layer]
        assert have["shape"] == want["shape"], layer
        np.testing.assert_allclose(have["norm"], want["norm"], rtol=1e-4, err_msg=layer)
        # a value next to a rounding edge of its layer's scale may differ by that scale's noise
        noise = 1e-4 * want["norm"] / np.sqrt(np.prod(want["shape"]))
        np.testing.assert_allclose(
            have["values"], want["values"], rtol=1e-3, atol=noise, err_msg=layer
        )


if __name__ == "__main__":
    features = {case: measure(case) for case in CASES if ASSETS or SQUEEZENET not in case}
    EXPECTED.write_text(json.dumps(features, indent=1) + "\n")
