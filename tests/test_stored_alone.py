"""A store is all that `evaluate` and `train` need: no images, no folder, the same numbers."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flat import evaluate, extract, predict, train
from quick import slow_unless

from decaf.datasets import load_dataset
from decaf.errors import ConfigError, DecafError
from decaf.types import ImageDataset

QUIET = {"device": "cpu", "quiet": True}
NET = {"backbone": "decaf-mini", "layers": "pool5,fc6", "pool": "avg"}
ROWS = np.arange(24)
WHOLE = {"view": "squash"}
BOXES = {"view": "warp", "box": "crop", "box_scale": 1.25}
TABLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "whole images": (WHOLE, {}),
    "boxes": (BOXES, {"boxes": np.tile(np.array([[5, 5, 35, 30]], np.float32), (24, 1))}),
    "official split": (WHOLE, {"official": np.where(ROWS % 4, 1, 3).astype(np.int8)[:, None]}),
    "several labels": (
        WHOLE, {"labels": np.where(ROWS[:, None] % [2, 3, 4], -1, 1).astype(np.int8)}
    ),
    "partial": (WHOLE, {"partial": True}),
}  # fmt: skip


def table_of(folder: Path, name: str) -> ImageDataset:
    return replace(load_dataset(folder), **TABLES[name][1])


QUICK = ("whole images", "official split")


@pytest.mark.parametrize("name", slow_unless(QUICK.__contains__, TABLES))
def test_a_store_that_was_moved_gives_the_same_results(
    name: str, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, view = table_of(image_folder, name), TABLES[name][0]
    new = shutil.copytree(image_folder / "red", tmp_path / "new")
    how = {"heads": "svm,knn", "splits": None if name == "official split" else 2, **QUIET}
    store = extract(table, out=tmp_path / "made" / "s.h5", **NET, **view, **QUIET)
    before = evaluate(table, out=tmp_path / "made" / "r.csv", features=store, **NET, **view, **how)
    options = {**NET, **view, **QUIET, "layers": "pool5"}
    first = train(table, out=tmp_path / "first.safetensors", features=store, **options)
    empty = tmp_path / "empty"
    empty.mkdir()
    shutil.move(store, empty / "moved.h5")
    for folder in ("made", "images"):
        shutil.rmtree(tmp_path / folder)
    monkeypatch.chdir(empty)

    after = evaluate("moved.h5", **how)
    seconds = ["seconds_fit"]
    pd.testing.assert_frame_equal(
        after.splits_frame().drop(columns=seconds), before.splits_frame().drop(columns=seconds)
    )
    second = train(empty / "moved.h5", layers="pool5", out="second.safetensors", **QUIET)
    said = [
        predict(model, [new], out=f"{model.stem}.csv", all_classes=True, **QUIET).read_text()
        for model in (first, second)
    ]
    assert said[0] == said[1]
    assert len(said[0].splitlines()) == 1 + 8 * len(table.class_names)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    folder = tmp_path_factory.mktemp("images")
    for number in range(4):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), (60 * number, 0, 0)).save(path)
    return extract(folder, out=folder / "s.h5", **NET, **WHOLE, **QUIET)


@pytest.mark.parametrize(
    "option",
    [
        {"backbone": "vgg16"}, {"weights": "random"}, {"pool": "max"}, {"precision": "bf16"},
        {"dtype": "float16"}, {"allow_code": True}, {"limit": 2}, {"allow_partial": True},
        {"group_by": "1"}, {"decoder": "pillow"}, {"view": "center"}, {"box": "crop"},
        {"box_scale": 2.0}, {"patch_scales": "1,2"}, {"patches_per_image": 2},
        {"patch_edges": "reflect"},
    ],
    ids=lambda option: next(iter(option)),
)  # fmt: skip
@pytest.mark.parametrize("verb", [evaluate, train])
def test_what_a_store_does_not_use_is_refused(
    verb: Any, option: dict[str, Any], store: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=next(iter(option))):
        verb(store, out=tmp_path / ("r.csv" if verb is evaluate else "m.safetensors"), **option)
    assert not list(tmp_path.iterdir())


def test_what_a_store_cannot_do_is_said(store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"finetune on the store .* which has no images"):
        evaluate(store, heads="finetune", out=tmp_path / "r.csv")
    for verb, out in ((evaluate, "r.csv"), (train, "m.safetensors")):
        with pytest.raises(DecafError, match="fc99"):
            verb(store, layers="fc99", out=tmp_path / out, **QUIET)
        with pytest.raises(DecafError, match=r"none\.h5"):
            verb(tmp_path / "none.h5", out=tmp_path / out)
    with pytest.raises(ConfigError, match="one layer, found pool5, fc6"):
        train(store, layers="pool5,fc6", out=tmp_path / "m.safetensors")
