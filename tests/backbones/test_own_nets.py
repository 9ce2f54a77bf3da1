"""A user's own net: only with leave, with its own preprocessing and layers."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from flat import extract
from torch import nn

from decaf.backbones import layer_table, load_backbone, wrap_module
from decaf.errors import BackboneError, ConfigError
from decaf.types import Preprocessing

CODE = """
import torch
from torch import nn
from decaf.types import Preprocessing

def net():
    torch.manual_seed(5)
    stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return stem, Preprocessing(16, 16, "bilinear", "center", (0, 0, 0), (1, 1, 1))

def alone():
    return nn.Identity()
"""
PREPROCESSING = Preprocessing(16, 16, "bilinear", "center", (0, 0, 0), (1, 1, 1))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "own_" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_no_code_runs_without_leave(package: str) -> None:
    import sys

    with pytest.raises(ConfigError, match="allow it with --allow-code"):
        load_backbone(f"{package}:net", device="cpu")
    assert package not in sys.modules


def test_a_function_gives_the_net_its_weights_and_its_layers(package: str) -> None:
    net = load_backbone(f"{package}:net", device="cpu", allow_code=True)
    assert net.weights == "own"
    assert net.layers == ("0", "1", "2", "3")
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    module = net._net.net
    torch.testing.assert_close(net.activations(pixels, ["3"])["3"], module(pixels / 255))
    rows = layer_table(f"{package}:net", allow_code=True)
    assert [row.shape for row in rows] == [(4, 7, 7), (4, 7, 7), (4, 1, 1), (4,)]


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("alone", BackboneError, "returns Identity; it has to return a pair"),
        ("missing", ConfigError, "cannot import it"),
    ],
)
def test_what_is_wrong_with_a_function(
    package: str, function: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        load_backbone(f"{package}:{function}", device="cpu", allow_code=True)


@pytest.mark.parametrize("field", ["crop", "interpolation"])
def test_a_preprocessing_that_decaf_does_not_offer(field: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown {field} of a preprocessing 'spiral'"):
        wrap_module(nn.Conv2d(3, 4, 3), replace(PREPROCESSING, **{field: "spiral"}), device="cpu")


def test_a_module_in_the_api(image_folder: Path, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    net = wrap_module(module, PREPROCESSING, name="mine", device="cpu")
    with pytest.raises(ConfigError, match="give layers from `decaf layers`"):
        extract(image_folder, backbone=net, out=tmp_path, quiet=True)
    path = extract(image_folder, backbone=net, layers="1", out=tmp_path, quiet=True)
    assert path.is_file()
