"""Models as files: what is written is read again, and what is damaged is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damage import damaged

from decaf.classifier import Classifier
from decaf.errors import DataError, DecafError
from decaf.prediction import plan_images
from decaf.tensor_file import read_tensors, write_tensors
from decaf.trained_net import load_net
from decaf.types import PatchRule

N = 60


def made(path: Path, patches: PatchRule | None = None) -> Path:
    rng = np.random.default_rng(0)
    layers = [(5, 2048), (3, 5)]
    Classifier(
        backbone="decaf-mini",
        weights="imagenet",
        weights_sha256="0" * 64,
        seed=0,
        precision="fp32",
        layer="pool5",
        pool="none",
        view="center" if patches is None else "patches",
        decoder="auto",
        normalize="l2",
        head="adaptation",
        patches=patches,
        patch_power=5,
        multilabel=False,
        class_names=("cat", "dög", "background"),
        layers=tuple(
            (rng.normal(size=shape).astype("f4"), rng.normal(size=shape[0]).astype("f4"))
            for shape in layers
        ),
    ).save(path)
    return path


@pytest.mark.parametrize("patches", [None, PatchRule(scales=(1.0, 2.0), edges="reflect")])
def test_what_is_written_is_read_again(patches: PatchRule | None, tmp_path: Path) -> None:
    path = made(tmp_path / "m.safetensors", patches)
    data = path.read_bytes()
    found = Classifier.load(path)
    assert found.patches == patches
    assert found.class_names == ("cat", "dög", "background")
    assert found.folder == tmp_path
    found.save(path)
    assert path.read_bytes() == data


def attack(folder: Path, n: int, seed: int = 0) -> tuple[int, int]:
    """Read damaged models; return how many were read and how many refused."""
    path = made(folder / "m.safetensors", PatchRule())
    counts = [0, 0]
    for content in damaged(path.read_bytes(), n, seed):
        path.write_bytes(content)
        try:
            found = Classifier.load(path)
            found.probabilities(np.ones((2, found.layers[0][0].shape[1]), "f4"))
            net = load_net(found, device="cpu")
            plan_images(found, net, ["a.png"])
            counts[0] += 1
        except DecafError:
            counts[1] += 1
    return counts[0], counts[1]


def test_damaged_models_are_refused(tmp_path: Path) -> None:
    assert attack(tmp_path, N) == (0, N)


def test_a_model_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = made(tmp_path / "m.safetensors")
    edited(path, lambda about: about.update(pixels=about.pop("decoder")))  # its former name
    found = Classifier.load(path)
    assert (found.head, found.decoder) == ("adaptation", "auto")


def edited(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    tensors, metadata = read_tensors(path) or ({}, {})
    about = json.loads(metadata["decaf"])
    about.pop("sha256")  # or all would be refused by that alone
    about = edit(about) or about
    write_tensors(path, tensors, {"decaf": json.dumps(about)})


@pytest.mark.parametrize(
    "edit",
    [
        lambda about: ["no object"],
        lambda about: about.pop("pool") and None,
        lambda about: about.update(schema_version="2"),
        lambda about: about.update(normalize="banana"),
        lambda about: about.update(decoder="crystal"),
        lambda about: about.update(class_names="abc"),
        lambda about: about.update(class_names=["a", "b"]),
        lambda about: about.update(seed="0"),
        lambda about: about.update(patches={"scales": [0.0]}),
        lambda about: about.update(patches={"scales": ["a"]}),
        lambda about: about.update(patches={"colour": 3, "scales": []}),
        lambda about: about.update(patch_power=None),
        lambda about: about.update(backbone=None),
    ],
)
def test_fields_of_another_kind_are_refused(
    edit: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    path = made(tmp_path / "m.safetensors")
    edited(path, edit)
    with pytest.raises(DataError, match="asked for the model"):
        Classifier.load(path)


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("head.0.weight", torch.ones(5, 2048, 1)),
        ("head.0.weight", torch.ones(())),
        ("head.1.weight", torch.ones(3, 6)),
        ("head.1.bias", torch.ones(3, 1)),
        ("head.1.weight", torch.ones(3, 5, dtype=torch.int32)),
        ("other", torch.ones(3)),
    ],
)
def test_heads_of_another_shape_are_refused(
    name: str, tensor: torch.Tensor, tmp_path: Path
) -> None:
    path = made(tmp_path / "m.safetensors")
    tensors, metadata = read_tensors(path) or ({}, {})
    write_tensors(path, tensors | {name: tensor}, metadata)
    with pytest.raises(DataError, match="asked for the model"):
        Classifier.load(path)
