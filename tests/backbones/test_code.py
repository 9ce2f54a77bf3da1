"""A net of other code is another net, whatever its weights."""

import hashlib
import importlib
import sys
from pathlib import Path

import pytest
from flat import extract, make_plan
from torch import nn

from decaf.backbones import load_backbone
from decaf.backbones.code import code_sha256
from decaf.datasets import load_dataset
from decaf.extraction import provenance

CODE = """
import torch
from torch import nn
from decaf.types import Preprocessing
from {name}_parts import scale
from flat import extract, make_plan

class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.power = 2

    def forward(self, x):
        return scale(x) ** self.power

def net():
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 5, 4), nn.ReLU(), Head())
    return stem, Preprocessing(64, 64, "bilinear", "center", (0.5,) * 3, (0.5,) * 3)
"""
PARTS = "def scale(x):\n    return 3 * x\n"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = "code_" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]
    (tmp_path / f"{name}.py").write_text(CODE.format(name=name))
    (tmp_path / f"{name}_parts.py").write_text(PARTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return name


def change(tmp_path: Path, name: str, old: str, new: str) -> None:
    """Change the source, and forget what was imported, as a new process would."""
    for path in tmp_path.glob(f"{name}*.py"):
        path.write_text(path.read_text().replace(old, new))
        sys.modules.pop(path.stem, None)
    importlib.invalidate_caches()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nn.ReLU()", "nn.Sigmoid()"),
        ("self.power = 2", "self.power = 3"),
        ("scale(x) **", "-scale(x) **"),
        ("return 3 * x", "return 5 * x"),
    ],
)
def test_changed_code_makes_another_store(
    tmp_path: Path, image_folder: Path, package: str, old: str, new: str
) -> None:
    options = {
        "backbone": f"{package}:net", "allow_code": True, "layers": "2", "pool": "avg",
        "out": tmp_path / "f", "quiet": True, "device": "cpu",
    }  # fmt: skip
    first = extract(image_folder, **options)
    sha256 = load_backbone(f"{package}:net", device="cpu", allow_code=True).weights_sha256
    change(tmp_path, package, "!", "!")
    assert extract(image_folder, **options) == first, "the same code is the same net"
    change(tmp_path, package, old, new)
    assert extract(image_folder, **options) != first
    changed = load_backbone(f"{package}:net", device="cpu", allow_code=True)
    assert changed.weights_sha256 != sha256, "a model of the old code refuses the new"


def test_settings_that_a_module_does_not_print_count() -> None:
    def net(power: float) -> nn.Module:
        module = nn.Identity()
        module.power = power
        return nn.Sequential(module)

    assert code_sha256(net(1.0)) == code_sha256(net(1.0))
    assert code_sha256(net(1.0)) != code_sha256(net(2.0))


def test_code_without_a_source_is_never_the_same() -> None:
    scope: dict[str, type] = {}
    exec("from torch import nn\nclass Own(nn.Identity):\n    pass", scope)
    scope["Own"].__module__ = "__nowhere__"
    assert code_sha256(scope["Own"]()) != code_sha256(scope["Own"]())


def test_arithmetic_and_libraries_stand_in_the_provenance(image_folder: Path) -> None:
    table = load_dataset(image_folder)
    net = load_backbone("alexnet", weights="random", device="cpu")
    found = provenance(make_plan(table, net), "float32")
    assert set(found.arithmetic) == {"features", "runtime", "convolutions", "net"}
    assert found.arithmetic["convolutions"] in {"winograd", "direct"}
    assert "timm" not in found.versions


def test_timm_is_recorded_for_its_nets(image_folder: Path) -> None:
    pytest.importorskip("timm")
    net = load_backbone("timm/resnet18", weights="random", device="cpu")
    found = provenance(make_plan(load_dataset(image_folder), net, layers="layer4"), "float32")
    assert "timm" in found.versions


def test_renamed_weights_are_the_same_weights(tmp_path: Path, image_folder: Path) -> None:
    import torch

    state = load_backbone("squeezenet1_1", weights="random", device="cpu")._net.net.state_dict()
    torch.save(state, tmp_path / "one.pth")
    options = {"backbone": "squeezenet1_1", "pool": "avg", "limit": 3, "quiet": True}
    options |= {"runtime": "torch"}
    options |= {"device": "cpu", "out": tmp_path / "f"}
    first = extract(image_folder, **options, weights=str(tmp_path / "one.pth"))
    (tmp_path / "one.pth").rename(tmp_path / "other.pth")
    assert extract(image_folder, **options, weights=str(tmp_path / "other.pth")) == first


def test_packages_are_installed_ones_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where torch is the system's, the user's own, or lent to an environment."""
    lent = tmp_path / "lib" / "site-packages"
    lent.mkdir(parents=True)
    (lent / "lent_layer.py").write_text("def scale(x):\n    return 3 * x\n")
    (tmp_path / "own_layer.py").write_text(
        "from torch import nn, ops\nfrom lent_layer import scale\nclass Own(nn.Module):\n    pass\n"
    )
    for folder in (tmp_path, lent):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def digest() -> str:
        for name in ("own_layer", "lent_layer"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        return code_sha256(importlib.import_module("own_layer").Own())

    first = digest()
    (lent / "lent_layer.py").write_text("def scale(x):\n    return 4 * x\n")
    assert digest() == first
    (tmp_path / "own_layer.py").write_text((tmp_path / "own_layer.py").read_text() + "# new\n")
    assert digest() != first
