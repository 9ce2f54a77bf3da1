"""From files and archives to pixels."""

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from flat import make_plan
from PIL import Image

from decaf.backbones import load_backbone
from decaf.datasets import load_dataset
from decaf.engines.batch import load_batch
from decaf.errors import ConfigError
from decaf.extraction import provenance
from decaf.types import ImageDataset


def test_views_are_made_of_the_rows_own_box(tmp_path: Path) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, 40:] = 200
    Image.fromarray(pixels).save(tmp_path / "two.png")
    boxes = np.array([[0, 0, 30, 60], [50, 0, 80, 60], [20, 0, 60, 60], [90, 0, 99, 9]], "f4")
    ids, zeros = ("two.png",) * 4, np.zeros(4, np.int64)
    table = ImageDataset("halves", tmp_path, ids, zeros, ("one",), zeros, boxes=boxes)
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = make_plan(table, net, box="crop", box_scale=1.0, layers="pool5")
    batch = load_batch(plan, [0, 1, 2, 3])
    assert batch.rows == [0, 1, 2]
    ((row, reason),) = batch.failures
    assert row == 3
    assert "lies outside the image" in reason
    left, right, both = batch.pixels
    assert torch.equal(left, torch.zeros_like(left))
    assert torch.equal(right, torch.full_like(right, 200))
    assert (both.min(), both.max()) == (0, 200)
    wide = load_batch(replace(plan, box_scale=2.0), [0]).pixels
    assert wide.max() == 200


def test_images_in_archives_give_the_pixels_of_files(image_folder: Path, tmp_path: Path) -> None:
    archive = tmp_path / "all.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(image_folder.glob("*/*.png")):
            tar.add(path, path.relative_to(image_folder))
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    files = make_plan(load_dataset(image_folder), net)
    entries = make_plan(load_dataset(archive), net, layers="pool5")
    expected, found = load_batch(files, range(24)), load_batch(entries, range(24))
    assert torch.equal(found.pixels, expected.pixels)
    assert found.sha256 == expected.sha256
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    batch = load_batch(entries, range(24))
    assert batch.rows + [row for row, _ in batch.failures] == list(range(24))
    assert batch.failures
    assert all("all.tar is cut short" in reason for _, reason in batch.failures)
    assert torch.equal(batch.pixels, expected.pixels[: len(batch.rows)])


def test_files_decoded_in_one_call_give_the_same_batch(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, path in enumerate(sorted(image_folder.glob("red/*.png"))):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
        if number == 2:
            path.with_suffix(".jpg").write_bytes(b"\xff\xd8 no image")
    (image_folder / "blue" / "3.png").write_bytes(b"")
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = make_plan(load_dataset(image_folder), net)
    expected = load_batch(plan, range(24))
    assert len(expected.failures) == 2
    found = load_batch(replace(plan, decoder="gpu"), range(24), torch.device("cpu"))
    assert found.rows == expected.rows
    assert found.sha256 == expected.sha256
    assert sorted(found.failures) == sorted(expected.failures)
    assert torch.equal(found.pixels, expected.pixels)


def test_pixels_of_a_gpu_need_one(image_folder: Path) -> None:
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    with pytest.raises(ConfigError, match="asked for decoder 'gpu', found the net on cpu"):
        make_plan(load_dataset(image_folder), net, decoder="gpu")


def test_who_decodes_is_part_of_the_provenance(image_folder: Path) -> None:
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    plan = make_plan(load_dataset(image_folder), net)
    assert provenance(plan, "float32").pixels.startswith("auto; decoder: pillow; torchcodec")
    there = provenance(replace(plan, decoder="gpu"), "float32").pixels
    assert there.startswith("gpu; decoder: nvjpeg for regular JPEG")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.data
def test_features_of_the_gpus_pixels_are_near_the_cpus(assets: Path) -> None:
    table = load_dataset(assets / "data/caltech101/101_ObjectCategories", limit=64)
    weights = assets / "weights/squeezenet1_0-deepcompression.safetensors"
    net = load_backbone("squeezenet1_0", weights=str(weights), device="cuda")
    plan = make_plan(table, net, layers="features.12", pool="avg", decoder="gpu")
    rows = range(64)
    there = load_batch(plan, rows, net.device)
    here = load_batch(replace(plan, decoder="auto"), rows)
    assert there.rows == here.rows
    assert there.pixels.device.type == "cuda"
    found = net.activations(there.pixels, ["features.12"])["features.12"].mean((2, 3))
    expected = net.activations(here.pixels.cuda(), ["features.12"])["features.12"].mean((2, 3))
    assert ((found - expected).norm(dim=1) / expected.norm(dim=1)).max() < 0.1
