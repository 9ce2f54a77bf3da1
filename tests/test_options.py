"""Each option of a command changes what it makes, or is refused where it cannot."""

import inspect
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import torch
from flat import extract, fields_of, finetune, predict, train
from quick import slow_unless

from decaf.backbones import load_backbone
from decaf.datasets import load_dataset
from decaf.errors import ConfigError
from decaf.onnx_model import export
from decaf.records import is_record

NO_VALUE = {
    "data", "dataset", "model", "images", "out", "features", "device", "batch_size", "workers",
    "max_failures", "quiet", "to",
}  # fmt: skip
"""What says which images, where, and how fast: no option of these decides a value."""
NET = {"backbone": "decaf-mini", "pool": "avg", "layers": "pool5", "device": "cpu", "quiet": True}

CHANGES: dict[Callable[..., Any], dict[str, dict[str, Any]]] = {
    train: {
        "backbone": {"backbone": "squeezenet1_1", "weights": "random"},
        "weights": {"weights": "random"},
        "layers": {"layers": "fc6"},
        "pool": {"pool": "max"},
        "view": {"view": "squash"},
        "patch_scales": {"view": "patches", "patch_scales": "1,2", "patches_per_image": 1},
        "patches_per_image": {"view": "patches", "patches_per_image": 1, "patch_scales": "2"},
        "patch_edges": {"view": "patches", "patch_edges": "reflect", "patches_per_image": 2},
        "background_share": {"view": "patches", "background_share": 0.5, "patches_per_image": 1},
        "patch_power": {"view": "patches", "patch_power": 2.0, "patches_per_image": 1},
        "head": {"head": "logreg"},
        "normalize": {"normalize": "none"},
        "c_grid": {"c_grid": "1e-6"},
        "class_weight": {"class_weight": "balanced"},
        "dtype": {"dtype": "float16"},
        "precision": {"precision": "bf16"},
        "runtime": {"runtime": "onnx"},
        "decoder": {"decoder": "pillow"},
        "limit": {"limit": 12},
        "seed": {"seed": 1},
    },
    finetune: {
        "backbone": {"backbone": "squeezenet1_1", "weights": "random"},
        "weights": {"weights": "random"},
        "layers": {"layers": "fc6"},
        "pool": {"pool": "max"},
        "view": {"view": "squash"},
        "normalize": {"normalize": "none"},
        "c_grid": {"c_grid": "1e-6"},
        "dtype": {"dtype": "float16"},
        "recipe": {"recipe": "epochs=1,validation=0"},  # else the start may be best
        "precision": {"precision": "bf16"},
        "runtime": {"runtime": "onnx"},
        "decoder": {"decoder": "pillow"},
        "limit": {"limit": 12},
        "seed": {"seed": 1},
    },
    predict: {"all_classes": {"all_classes": True}},
    export: {},
}
UNUSED: dict[str, dict[str, Any]] = {
    "box": {"box": "crop"},
    "box_scale": {"box_scale": 2.0},
    "patch_scales": {"patch_scales": "1,2"},
    "patches_per_image": {"patches_per_image": 2},
    "patch_edges": {"patch_edges": "reflect"},
    "background_share": {"background_share": 0.5},
    "patch_power": {"patch_power": 2.0},
    "domains": {"domains": "a:b"},
}
"""Of boxes, patches and domains, for whole images without them."""
REFUSED: dict[Callable[..., Any], dict[str, dict[str, Any]]] = {
    train: {
        **UNUSED,
        "normalize": {"normalize": "standard", "view": "patches"},
        "decoder": {"decoder": "gpu"},
        "allow_partial": {"allow_partial": True},
    },
    finetune: {
        **UNUSED,
        "class_weight": {"class_weight": "balanced"},
        "decoder": {"decoder": "gpu"},
        "allow_partial": {"allow_partial": True},
    },
    predict: {"decoder": {"decoder": "gpu"}},
    export: {"to": {"to": "coreml"}},
}
ELSEWHERE = {
    train: {"data_root", "group_by", "allow_code"},  # tests/datasets, backbones/test_own_nets.py
    finetune: {"data_root", "group_by", "allow_code"},
    predict: {"weights", "allow_code"},  # tests/test_prediction.py
    export: {"weights", "allow_code"},
}


def made(command: Callable[..., Any], folder: Path, images: Path, **options: Any) -> bytes:
    """Return what a command writes."""
    folder.mkdir(exist_ok=True)
    out = {"out": folder / "m.safetensors", "features": folder}
    short = {"recipe": "epochs=1"} if command is finetune else {}
    data: bytes = command(images, **{**NET, **short, **out, **options}).read_bytes()
    return data


@pytest.fixture(scope="module")
def made_anew(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """Make in one empty folder, whose name is in what is written; the like is made once."""
    folder, kept = tmp_path_factory.mktemp("one"), {}

    def make(command: Callable[..., Any], images: Path, keep: bool, **options: Any) -> bytes:
        key = command, *options.items()
        if key not in kept or not keep:
            shutil.rmtree(folder)
            kept[key] = made(command, folder, images, **options)
        return kept[key]

    return make


@pytest.mark.parametrize("command", CHANGES)
def test_every_option_is_tried(command: Callable[..., Any]) -> None:
    tried = CHANGES[command].keys() | REFUSED[command].keys() | ELSEWHERE[command] | NO_VALUE
    own = {
        name
        for name in inspect.signature(command).parameters
        if not is_record(get_type_hints(command)[name])
    }
    assert own | fields_of(command).keys() <= tried


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what a GPU can do")
@pytest.mark.parametrize(
    ("command", "name"),
    slow_unless(
        lambda one: one[0] is train or one[1] == "recipe",
        [(c, name) for c in (train, finetune) for name in CHANGES[c]],
    ),
)
def test_an_option_changes_what_is_made(
    command: Callable[..., Any], name: str, image_folder: Path, made_anew: Callable[..., bytes]
) -> None:
    options = CHANGES[command][name]
    plain = {k: v for k, v in options.items() if k != name} if name.startswith("patch") else {}
    expected = made_anew(command, image_folder, keep=True, **plain)
    assert made_anew(command, image_folder, keep=True, **options) != expected


@pytest.mark.parametrize("command", [train, finetune])
def test_equal_options_make_the_same(
    command: Callable[..., Any], image_folder: Path, made_anew: Callable[..., bytes]
) -> None:
    expected = made_anew(command, image_folder, keep=True)
    assert made_anew(command, image_folder, keep=False) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for what a GPU can do")
@pytest.mark.parametrize(
    ("command", "name"), [(c, name) for c in (train, finetune) for name in REFUSED[c]]
)
def test_an_option_that_would_be_ignored_is_refused(
    command: Callable[..., Any], name: str, image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"patch|{name[:6]}"):
        made(command, tmp_path / "other", image_folder, **REFUSED[command][name])
    assert not (tmp_path / "other" / "m.safetensors").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"weights": "random"},
        {"weights": "net.pth"},
        {"precision": "bf16"},
        {"device": "meta"},
        {"allow_code": True},
    ],
)
@pytest.mark.parametrize("command", [train, finetune, extract])
def test_a_loaded_net_takes_no_other_options(
    command: Callable[..., Any], options: dict[str, Any], image_folder: Path, tmp_path: Path
) -> None:
    if command is finetune and "precision" in options:
        pytest.skip("the precision of training, which is the trained copy's")
    net = load_backbone("decaf-mini", device="cpu")
    with pytest.raises(ConfigError, match=next(iter(options))):
        command(image_folder, backbone=net, out=tmp_path / "m.safetensors", quiet=True, **options)


def test_a_limit_counts_for_a_table_too(image_folder: Path, tmp_path: Path) -> None:
    table = load_dataset(image_folder)
    assert len(load_dataset(table, limit=6).image_ids) == 6
    found = made(train, tmp_path / "a", image_folder, limit=6)
    again = made(train, tmp_path / "b", table, limit=6)
    assert found == again
    with pytest.raises(ConfigError, match="allow_partial"):
        load_dataset(table, allow_partial=True)


def test_options_of_prediction(image_folder: Path, tmp_path: Path) -> None:
    made(train, tmp_path, image_folder)
    model, quiet = tmp_path / "m.safetensors", {"device": "cpu", "quiet": True}
    plain = predict(model, [image_folder], out=tmp_path / "p.csv", **quiet).read_text()
    every = predict(model, [image_folder], out=tmp_path / "q.csv", all_classes=True, **quiet)
    assert every.read_text() != plain
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="decoder 'gpu'"):
            predict(model, [image_folder], out=tmp_path / "r.csv", decoder="gpu", **quiet)
    with pytest.raises(ConfigError, match="decoder 'crystal'"):
        predict(model, [image_folder], out=tmp_path / "r.csv", decoder="crystal", **quiet)
