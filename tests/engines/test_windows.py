"""Extraction of patches: by cropping, and by one pass a scale."""

from pathlib import Path

import numpy as np
import pytest
import torch
from flat import extract
from PIL import Image
from torchvision.transforms.v2 import functional

from decaf.backbones import runtimes
from decaf.datasets import load_dataset
from decaf.datasets.patch_tables import patch_table
from decaf.errors import ConfigError
from decaf.images.patches import DenseGrid, dense_boxes, dense_scales
from decaf.store import FeatureStore
from decaf.types import PatchRule

MINI = {"backbone": "decaf-mini", "device": "cpu", "quiet": True}


def write(folder: Path, sizes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    for number, size in enumerate(sizes):
        path = folder / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (6, 7, 3), np.uint8))
        small.resize(size, Image.Resampling.BILINEAR).save(path)


@pytest.mark.parametrize("edges", ["clip", "reflect"])
@pytest.mark.parametrize("size", [(100, 80), (64, 64), (37, 150), (1, 1)])
def test_boxes_of_dense_windows_cover_the_image(edges, size):
    grid = DenseGrid(64, 16)
    rule = PatchRule(scales=(1.0, 1.5, 2.2), edges=edges)
    for scale in dense_scales(*size, rule, grid):
        left, top, right, bottom = scale.margins
        height, width = scale.resized
        assert (width + left + right - 64) % 16 == 0
        assert (height + top + bottom - 64) % 16 == 0
        assert min(scale.margins) >= (-16 if edges == "clip" else 0)
        assert max(scale.margins) <= (0 if edges == "clip" else 16)
        sides = scale.boxes[:, 2:] - scale.boxes[:, :2]
        np.testing.assert_allclose(sides, sides[:1].repeat(len(sides), 0), rtol=1e-4)
    boxes = dense_boxes(*size, rule, grid)
    far = 16 * max(size) / 64 + 1e-3
    assert (boxes[:, :2].min(0) <= far).all()
    assert (boxes[:, 2:].max(0) >= np.array(size) - far).all()


def test_dense_rows_are_the_patches_that_their_boxes_say(tmp_path: Path):
    """Of a smooth image a window and the same box cut out of it look alike to the net."""
    write(tmp_path / "images", [(160, 128), (90, 120)])
    options = {**MINI, "layers": "pool5,fc6", "patch_scales": [1.0, 2.0]}
    path = extract(tmp_path / "images", view="dense", out=tmp_path / "d.h5", **options)
    with FeatureStore(path) as store:
        boxes, ids, found = store.boxes, store.image_ids, store["pool5"][:]
        assert store.done.all()
        assert set(ids) == {"a/0.png", "b/1.png"}
        assert "windows of" in store.provenance.views[0]
    from decaf.backbones import load_backbone

    net = load_backbone("decaf-mini", device="cpu")
    likeness = []
    for image_id, box, row in zip(ids, boxes, found, strict=True):
        with Image.open(tmp_path / "images" / image_id) as file:
            crop = file.convert("RGB").crop([round(float(edge)) for edge in box])
        pixels = functional.resize(functional.pil_to_tensor(crop), [64, 64], antialias=True)
        wanted = net.activations(pixels[None], ["pool5"])["pool5"].flatten()
        likeness.append(float(torch.cosine_similarity(torch.from_numpy(row), wanted, dim=0)))
    one_window = (boxes[:, 2:] - boxes[:, :2]).max(1) >= 89
    assert np.array(likeness).min() > 0.5
    assert np.array(likeness)[one_window].min() > 0.8


@pytest.mark.parametrize("view", ["patches", "dense"])
def test_a_run_taken_up_again_and_a_broken_image(view, tmp_path: Path):
    folder = tmp_path / "images"
    write(folder, [(80, 64), (64, 90), (70, 70), (100, 64)])
    (folder / "a" / "2.png").write_bytes(b"no image")
    options = {**MINI, "layers": "fc6", "view": view, "patch_scales": "1,1.5", "max_failures": 1}
    whole = extract(folder, out=tmp_path / "whole.h5", **options)
    limited = extract(folder, out=tmp_path / "few.h5", patches_per_image=3, **options)
    with FeatureStore(whole) as store, FeatureStore(limited) as few:
        broken = np.array([name == "a/2.png" for name in store.image_ids])
        assert broken.sum() == 1
        np.testing.assert_array_equal(store.done, ~broken)
        assert max(few.image_ids.count(name) for name in few.image_ids) == 3
        index = {
            (n, *b): i
            for i, (n, b) in enumerate(zip(store.image_ids, store.boxes.tolist(), strict=True))
        }
        rows = [index[n, *b] for n, b in zip(few.image_ids, few.boxes.tolist(), strict=True)]
        good = few.done
        np.testing.assert_allclose(
            few["fc6"][:][good], store["fc6"][:][rows][good], rtol=1e-3, atol=1e-4
        )


def test_dense_passes_are_torchs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "p", [(64, 64), (64, 80)])
    options = {**MINI, "layers": "fc6", "view": "dense", "out": tmp_path}
    with pytest.raises(ConfigError, match="dense patches by runtime 'onnx', which takes"):
        extract(tmp_path / "p", **options, runtime="onnx")
    monkeypatch.setattr(runtimes, "is_faster", lambda _: True)
    with FeatureStore(extract(tmp_path / "p", **options)) as store:
        assert store.provenance.arithmetic["runtime"] == "torch"


def test_patches_of_boxes_and_patch_options_without_patches_are_refused(tmp_path: Path):
    write(tmp_path / "p", [(64, 64), (64, 64)])
    with pytest.raises(ConfigError, match="has no patches"):
        extract(tmp_path / "p", out=tmp_path, patches_per_image=3, layers="fc6", **MINI)
    with pytest.raises(ConfigError, match="give one of"):
        extract(tmp_path / "p", out=tmp_path, view="patches", box="crop", layers="fc6", **MINI)


def test_a_table_of_patches_keeps_one_row_of_each_image(tmp_path: Path):
    write(tmp_path / "p", [(64, 48), (64, 64)])
    table = load_dataset(tmp_path / "p")
    found = patch_table(table, PatchRule(scales=(1.0,)), None)
    assert found.image_ids == ("a/0.png", "a/0.png", "b/1.png")
    assert found.labels.tolist() == [0, 0, 1]
    assert found.class_names == table.class_names
    assert found.boxes.tolist() == [[0, 0, 48, 48], [16, 0, 64, 48], [0, 0, 64, 64]]
