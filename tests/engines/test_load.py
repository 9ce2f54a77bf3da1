"""From files and archives to pixels."""

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from decaf.backbones import load_backbone
from decaf.datasets import load_dataset
from decaf.engines.load import load_batch
from decaf.extraction import make_plan
from decaf.types import ImageDataset


def test_views_are_made_of_the_rows_own_box(tmp_path: Path) -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:, 40:] = 200
    Image.fromarray(pixels).save(tmp_path / "two.png")
    boxes = np.array([[0, 0, 30, 60], [50, 0, 80, 60], [20, 0, 60, 60], [90, 0, 99, 9]], "f4")
    ids, zeros = ("two.png",) * 4, np.zeros(4, np.int64)
    table = ImageDataset("halves", tmp_path, ids, zeros, ("one",), zeros, boxes=boxes)
    net = load_backbone("squeezenet1_1", weights="random", device="cpu")
    plan = make_plan(table, net, box="crop", box_scale=1.0, layers="pool5")
    batch = load_batch(plan, [0, 1, 2, 3])
    assert batch.rows == [0, 1, 2]
    ((row, reason),) = batch.failures
    assert row == 3
    assert "lies outside the picture" in reason
    left, right, both = batch.pixels
    assert torch.equal(left, torch.zeros_like(left))
    assert torch.equal(right, torch.full_like(right, 200))
    assert (both.min(), both.max()) == (0, 200)
    wide = load_batch(replace(plan, box_scale=2.0), [0]).pixels
    assert wide.max() == 200


def test_pictures_in_archives_give_the_pixels_of_files(
    picture_folder: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "all.tar"
    with tarfile.open(archive, "w") as tar:
        for path in sorted(picture_folder.glob("*/*.png")):
            tar.add(path, path.relative_to(picture_folder))
    net = load_backbone("squeezenet1_1", weights="random", device="cpu")
    files = make_plan(load_dataset(picture_folder), net, layers="pool5")
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
