"""A store holds the table of its images: what comes after extraction needs no data set."""

import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from flat import extract, make_plan
from PIL import Image
from scenes import Scene, write_voc

from decaf.backbones import load_backbone
from decaf.datasets import dataset_digest, load_dataset
from decaf.engines.batch import load_batch
from decaf.store import FeatureStore, join
from decaf.types import ImageDataset

MINI = {"backbone": "decaf-mini", "device": "cpu", "layers": "fc6", "quiet": True}
PATCHES = {"view": "patches", "patch_scales": "1,2"}
GROUPS = [f"söt {i % 3}" for i in range(24)]


def folder(images: Path) -> ImageDataset:
    return load_dataset(images)


def manifest(images: Path) -> ImageDataset:
    lines = [
        f"{path.relative_to(images)},{path.parent.name},{'test' if i % 3 else 'train'}"
        for i, path in enumerate(sorted(images.glob("*/*.png")))
    ]
    (images / "rows.csv").write_text("\n".join(["path,label,split", *lines]))
    return replace(load_dataset(images / "rows.csv"), groups=GROUPS)


def multi_label(images: Path) -> ImageDataset:
    labels = np.where(np.arange(72).reshape(24, 3) % 5, -1, 1).astype(np.int8)
    labels[3] = (0, 1, 1)
    return replace(folder(images), labels=labels, partial=True)


def boxes(images: Path) -> ImageDataset:
    found = np.array([[i, 1, 30 + i / 2, 33] for i in range(24)], np.float32)
    return replace(manifest(images), boxes=found)


def objects(images: Path) -> ImageDataset:
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (90, 70, 3), np.uint8)) for _ in range(6)]
    scenes = [Scene(one, [i % 3], [(5, 5, 60, 60)]) for i, one in enumerate(noise)]
    write_voc(images, {"train": scenes[:2], "val": scenes[2:4], "test": scenes[4:]})
    return load_dataset("voc2007", images, allow_partial=True)


KINDS = [
    (folder, {}),
    (manifest, {}),
    (multi_label, {}),
    (boxes, {"box": "crop"}),
    (folder, PATCHES),
    (manifest, PATCHES),
    (multi_label, PATCHES),
    (boxes, PATCHES),
    (objects, PATCHES),
    (objects, PATCHES | {"view": "dense"}),
]


@pytest.mark.parametrize(("make", "view"), KINDS)
def test_the_stores_table_is_the_data_sets(
    image_folder: Path,
    tmp_path: Path,
    make: Callable[[Path], ImageDataset],
    view: dict[str, object],
) -> None:
    own = make(image_folder)
    with FeatureStore(extract(own, out=tmp_path / "a.h5", **MINI, **view)) as store:
        found, rows, digest = store.image_table(), store.table(), store.provenance.dataset_digest
        sizes = dict(zip(store.image_ids, map(tuple, store.image_sizes_px.tolist()), strict=True))
    assert dataset_digest(rows) == digest
    assert dataset_digest(found) == dataset_digest(own)
    assert (found.root, found.source, found.partial) == (tmp_path, None, own.partial)
    assert list(found.image_ids) == list(own.image_ids)
    assert found.class_names == tuple(own.class_names)
    assert (found.groups is None) == (own.groups is None)
    for column in ("labels", "official", "boxes"):
        expected, there = getattr(own, column), getattr(found, column)
        assert (there is None) == (expected is None)
        if expected is not None:
            np.testing.assert_array_equal(there, expected, strict=True)
    for image_id, size in sizes.items():
        with Image.open(own.root / image_id) as image:
            assert size == image.size
    if not view:
        assert dataset_digest(found) == digest


def test_tables_of_patches_survive_shards_that_cut_an_image(
    image_folder: Path, tmp_path: Path
) -> None:
    own = boxes(image_folder)
    parts = [extract(own, out=tmp_path, shard=f"{i}/5", **MINI, **PATCHES) for i in range(1, 6)]
    with FeatureStore(parts[0]) as one, FeatureStore(parts[1]) as other:
        assert one.image_ids[-1] == other.image_ids[0]
    with FeatureStore(join(parts, tmp_path / "whole.h5")) as store:
        assert dataset_digest(store.image_table()) == dataset_digest(own)
        assert (store.image_sizes_px == (50, 40)).all()


def test_sizes_are_of_the_upright_image_wherever_it_lies_and_unknown_where_it_failed(
    image_folder: Path, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    turned, broken = image_folder / "red" / "1.png", image_folder / "red" / "2.png"
    Image.open(turned).save(turned, exif=exif)
    broken.write_bytes(broken.read_bytes()[:200])
    tar = tmp_path / "images.tar"
    with tarfile.open(tar, "w") as archive:
        for path in sorted(image_folder.glob("*/*")):
            archive.add(path, str(path.relative_to(image_folder)))
    memory = fsspec.filesystem("memory")
    memory.put(str(image_folder), "/two/images", recursive=True)
    for number, place in enumerate((image_folder, tar, "memory://two/images")):
        out = tmp_path / f"{number}"
        stores = [extract(place, out=out, **MINI | {"layers": layer}) for layer in ("pool5", "fc7")]
        for path in stores:  # the second is computed from the first
            with FeatureStore(path) as store:
                sizes = dict(zip(store.image_ids, store.image_sizes_px.tolist(), strict=True))
            assert len(sizes) == 24
            for image_id, size in sizes.items():
                special = {turned.name: [40, 50], broken.name: [-1, -1]}
                name = Path(image_id).name if "red/" in image_id else ""
                assert size == special.get(name, [50, 40])
    memory.rm("/two", recursive=True)


def test_sizes_of_images_that_a_gpu_decodes(image_folder: Path) -> None:
    plan = make_plan(load_dataset(image_folder), load_backbone("decaf-mini", device="cpu"))
    batch = load_batch(replace(plan, decoder="gpu"), range(5), torch.device("cpu"))
    assert batch.sizes_px == dict.fromkeys(range(5), (50, 40))


def test_sizes_come_along_where_rows_are_taken_over(image_folder: Path, tmp_path: Path) -> None:
    extract(image_folder, out=tmp_path / "out", **MINI)
    Image.new("RGB", (30, 20)).save(image_folder / "blue" / "0.png")
    with FeatureStore(extract(image_folder, out=tmp_path / "out", **MINI)) as store:
        assert store.image_sizes_px.tolist() == [[30, 20]] + 23 * [[50, 40]]


def test_a_frame_arrays_and_a_line_of_a_store(image_folder: Path, tmp_path: Path) -> None:
    (image_folder / "blue" / "3.png").write_bytes(b"")
    path = extract(image_folder, out=tmp_path / "a.h5", **MINI)
    with FeatureStore(path) as store:
        X, y = store.to_numpy("fc6")
        frame = store.to_frame("fc6")
        size = store["fc6"].shape[1]
        assert (
            repr(store) == f"FeatureStore({str(path)!r}: 24 rows, 23 done; fc6 ({size},); float32)"
        )
        np.testing.assert_array_equal(X, store["fc6"][store.done])
    with FeatureStore(path) as closed:
        pass
    assert "24 rows, unreadable" in repr(closed)
    assert X.shape == (23, size)
    assert "blue/3.png" not in frame.index
    assert frame.columns[0] == "label"
    assert frame.loc["red/2.png", "label"] == "red"
    assert (y == np.repeat([0, 1, 2], [7, 8, 8])).all()
    np.testing.assert_array_equal(frame.iloc[:, 1:].to_numpy(), X, strict=True)
