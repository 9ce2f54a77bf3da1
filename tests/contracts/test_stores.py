"""Every kind of store, made of images by the small net, through every check."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from flat import extract
from PIL import Image

from decaf.datasets import load_dataset
from decaf.errors import ConfigError
from decaf.store import FeatureStore, join, verify
from decaf.types import ImageDataset

NET = {"backbone": "decaf-mini", "device": "cpu", "quiet": True, "max_failures": 0.3}
LAYERS = ("pool5", "fc6")
N_IMAGES = 12
KINDS: dict[str, dict[str, object]] = {  # options of extraction; the width of pool5
    "whole": {},
    "half precision": {"dtype": "float16"},
    "pooled": {"pool": "avg"},
    "ten crops": {"view": "ten-crop"},
    "boxes": {"view": "squash", "box": "crop"},
    "joined shards": {},
}
N_FEATURES = {"pooled": 128}


@cache
def images(folder: Path) -> ImageDataset:
    """Images in two classes with boxes and an official split; one cannot be read."""
    rng = np.random.default_rng(0)
    for number in range(N_IMAGES):
        path = folder / "images" / "ab"[number % 2] / f"tööl {number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(path)
    (folder / "images" / "a" / "tööl 02.png").write_bytes(b"no image")
    table = load_dataset(folder / "images")
    boxes = np.tile(np.array([2, 3, 20, 25], np.float32), (N_IMAGES, 1))
    return replace(
        table, boxes=boxes, official=np.tile([[1], [3]], (N_IMAGES // 2, 1)).astype("i1")
    )


@cache
def made(kind: str, folder: Path) -> Path:
    table, out = images(folder), folder / kind
    options = {**NET, **KINDS[kind], "layers": ",".join(LAYERS)}
    if kind != "joined shards":
        return extract(table, out=out / "store.h5", **options)
    parts = [extract(table, out=out, shard=f"{n}/3", **options) for n in (1, 2, 3)]
    return join(parts, out / "joined.h5")


def check_a_store_round_trips(kind: str, folder: Path) -> None:
    table = images(folder)
    with FeatureStore(made(kind, folder)) as store:
        assert store.image_ids == table.image_ids
        assert store.class_names == table.class_names
        for field in ("labels", "official", "boxes"):
            np.testing.assert_array_equal(getattr(store, field), getattr(table, field))
        assert np.flatnonzero(~np.asarray(store.done, bool)).tolist() == [1]
        assert store.layers == LAYERS


def check_shapes_are_those_of_the_layers(kind: str, folder: Path) -> None:
    views = (10,) if kind == "ten crops" else ()
    dtype = np.float16 if kind == "half precision" else np.float32
    with FeatureStore(made(kind, folder)) as store:
        for layer, width in (("pool5", N_FEATURES.get(kind, 2048)), ("fc6", 1024)):
            assert store[layer].shape == (N_IMAGES, *views, width)
            assert store[layer].dtype == dtype
            assert np.isfinite(store[layer][:][np.asarray(store.done, bool)]).all()


def check_rows_are_read_in_any_order(kind: str, folder: Path) -> None:
    with FeatureStore(made(kind, folder)) as store:
        whole = store["fc6"][:]
        rows = [7, 0, 7, 11, 3]
        np.testing.assert_array_equal(store["fc6"][rows], whole[rows])
        np.testing.assert_array_equal(store["fc6"][3:9:2], whole[3:9:2])
        assert len(np.unique(whole[np.asarray(store.done, bool)], axis=0)) == N_IMAGES - 1


def check_plain_h5py_reads_the_same(kind: str, folder: Path) -> None:
    path = made(kind, folder)
    with FeatureStore(path) as store, h5py.File(path) as plain:
        for layer in LAYERS:
            np.testing.assert_array_equal(plain[f"features/{layer}"][:], store[layer][:])


def check_an_unknown_layer_names_those_there(kind: str, folder: Path) -> None:
    with FeatureStore(made(kind, folder)) as store, pytest.raises(ConfigError, match="pool5"):
        store["fc9"]


def check_it_is_found_again_and_left_as_it_is(kind: str, folder: Path) -> None:
    path = made(kind, folder)
    before = path.read_bytes()
    options = {**NET, **KINDS[kind], "layers": "fc6"}
    assert extract(images(folder), out=path, **options) == path
    assert path.read_bytes() == before


def check_its_provenance_says_what_was_asked(kind: str, folder: Path) -> None:
    with FeatureStore(made(kind, folder)) as store:
        said = json.loads(store.provenance.to_json())
    assert (said["backbone"], said["layers"]) == ("decaf-mini", list(LAYERS))
    assert said["dtype"] == KINDS[kind].get("dtype", "float32")
    assert said["pooling"] == KINDS[kind].get("pool", "none")


def check_a_changed_byte_of_features_is_found(kind: str, folder: Path) -> None:
    copy = folder / f"{kind} copy"
    shutil.copytree(made(kind, folder).parent, copy)
    path = copy / made(kind, folder).name
    assert verify(path) == []
    shard = sorted(copy.glob("*.h5"))[0] if kind == "joined shards" else path
    with h5py.File(shard, locking=False) as file:
        offset = file["features/fc6"].id.get_offset()
    if offset is None:  # the joined file holds none itself
        shard = next(one for one in copy.glob("*.h5") if one != path)
        with h5py.File(shard, locking=False) as file:
            offset = file["features/fc6"].id.get_offset()
    data = bytearray(shard.read_bytes())
    data[offset] ^= 1
    shard.write_bytes(data)
    assert len(verify(path)) == 1
    shutil.rmtree(copy)


CHECKS = (
    check_a_store_round_trips,
    check_shapes_are_those_of_the_layers,
    check_rows_are_read_in_any_order,
    check_plain_h5py_reads_the_same,
    check_an_unknown_layer_names_those_there,
    check_it_is_found_again_and_left_as_it_is,
    check_its_provenance_says_what_was_asked,
    check_a_changed_byte_of_features_is_found,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stores")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_store_passes(check: Callable[[str, Path], None], kind: str, folder: Path) -> None:
    check(kind, folder)
