"""Extraction from images to a store: whole, resumable, and never silent about settings."""

import csv
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from flat import evaluate, extract, train
from PIL import Image

from decaf.backbones import load_backbone
from decaf.engines import local
from decaf.errors import ConfigError, DataError, StoreError, StoreMismatchError
from decaf.store import FeatureStore, join, verify

NET = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "quiet": True}


def test_features_ids_and_labels_stand_in_one_file(image_folder: Path, tmp_path: Path) -> None:
    path = extract(image_folder, **NET, layers="features.pool2,pool5", pool="avg", out=tmp_path)
    assert path.parent == tmp_path
    with FeatureStore(path) as store, h5py.File(path) as plain:
        assert store["pool5"].shape == (24, 128)
        np.testing.assert_array_equal(
            store["features.pool2"][:], plain["features/features.pool2"][:]
        )
        assert store.class_names == ("blue", "green", "red")
        assert store.image_ids[8] == "green/0.png"
        np.testing.assert_array_equal(store.labels, np.repeat([0, 1, 2], 8))
        assert store.done.all()
        assert store.provenance.weights == "random"
        assert len(np.unique(store["pool5"][:], axis=0)) == 24
    assert verify(path) == []


def test_a_store_is_found_again_and_not_computed(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = extract(image_folder, **NET, layers="features.pool2,pool5", pool="avg", out=tmp_path)
    monkeypatch.setattr(local, "load_batches", None)
    assert extract(image_folder, **NET, layers="pool5", pool="avg", out=tmp_path) == first
    assert extract(image_folder, **NET, layers="pool5", pool="avg", out=first) == first


def test_other_settings_make_another_store(image_folder: Path, tmp_path: Path) -> None:
    options = {**NET, "layers": "pool5", "pool": "avg", "limit": 6}
    paths = {
        extract(image_folder, **options | other, out=tmp_path)
        for other in (
            {},
            {"pool": "max"},
            {"view": "squash"},
            {"seed": 1},
            {"dtype": "float16"},
            {"runtime": "onnx"},
        )
    }
    assert len(paths) == 6


@pytest.mark.parametrize("pool", ["none", "grid:2"])
def test_both_runtimes_give_the_same_features_but_for_rounding(
    image_folder: Path, tmp_path: Path, pool: str
) -> None:
    found = {}
    for runtime in ("torch", "onnx"):
        options = {**NET, "layers": "features.pool2,fc6-pre,fc7", "pool": pool}
        path = extract(image_folder, **options, runtime=runtime, out=tmp_path / f"{runtime}.h5")
        with FeatureStore(path) as store:
            assert store.provenance.arithmetic["runtime"] == runtime
            assert ("onnxruntime" in store.provenance.versions) == (runtime == "onnx")
            found[runtime] = {layer: store[layer][:] for layer in store.layers}
    assert (found["onnx"]["fc6-pre"] < 0).any()
    for layer, expected in found["torch"].items():
        error = np.linalg.norm(found["onnx"][layer] - expected) / np.linalg.norm(expected)
        assert error < 1e-5, layer
    out = tmp_path / "torch.h5"
    with pytest.raises(StoreMismatchError, match=r"runtime: asked onnx, found torch"):
        extract(image_folder, **options, runtime="onnx", out=out)


def test_settings_that_differ_are_named(image_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.h5"
    extract(image_folder, **NET, pool="avg", limit=6, out=out)
    before = out.read_bytes()
    with pytest.raises(StoreMismatchError, match=r"pooling: asked max, found avg"):
        extract(image_folder, **NET, pool="max", limit=6, out=out)
    assert out.read_bytes() == before


def test_broken_images_are_listed_and_rows_stay_aligned(image_folder: Path, tmp_path: Path) -> None:
    options = {**NET, "layers": "pool5", "pool": "avg", "out": tmp_path}
    (image_folder / "green" / "3.png").write_bytes(b"<html>not found</html>")
    (image_folder / "red" / "0.png").write_bytes(b"")
    path = extract(image_folder, **options, max_failures=0.1)
    with (tmp_path / f"{path.stem}.failures.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == ["green/3.png", "red/0.png"]
    assert all(row["reason"] for row in rows)
    with FeatureStore(path) as store:
        assert np.flatnonzero(~np.asarray(store.done, bool)).tolist() == [11, 16]
        left = store["pool5"][:]
    for name in ("green/3.png", "red/0.png"):
        (image_folder / name).unlink()
    with FeatureStore(extract(image_folder, **options)) as clean:
        np.testing.assert_allclose(
            np.delete(left, [11, 16], axis=0), clean["pool5"][:], rtol=1e-3, atol=1e-6
        )


def test_too_many_broken_images_fail_and_say_how_to_go_on(
    image_folder: Path, tmp_path: Path
) -> None:
    for number in range(5):
        (image_folder / "blue" / f"{number}.png").write_bytes(b"no")
    with pytest.raises(DataError, match="--max-failures"):
        extract(image_folder, **NET, pool="avg", out=tmp_path)


def test_half_precision_is_stored_as_asked(image_folder: Path, tmp_path: Path) -> None:
    options = {**NET, "layers": "pool5", "pool": "avg", "out": tmp_path, "limit": 6}
    with (
        FeatureStore(extract(image_folder, **options, dtype="float16")) as half,
        FeatureStore(extract(image_folder, **options)) as single,
    ):
        assert half["pool5"][:].dtype == np.float16
        np.testing.assert_allclose(half["pool5"][:], single["pool5"][:], rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"layers": "fc9"}, ConfigError, "unknown layer 'fc9' for decaf-mini"),
        ({"pool": "sum"}, ConfigError, "unknown pooling 'sum'"),
        ({"view": "tall"}, ConfigError, "unknown view 'tall'"),
        ({"box_scale": 0}, ConfigError, "box_scale is above 0"),
        ({"dtype": "int8"}, ConfigError, "unknown dtype 'int8'; choose one of: float32"),
        ({"max_failures": 2}, ConfigError, "max_failures is from 0 to 1, found 2"),
        ({"batch_size": 0}, ConfigError, "batch_size is at least 1, found 0"),
        ({"workers": -1}, ConfigError, "workers is at least 0, found -1"),
        ({"shard": "3/2"}, ConfigError, "shard '3/2'; give I/N with I from 1 to N"),
        ({"shard": "0/2"}, ConfigError, "I/N"),
        ({"shard": "two"}, ConfigError, "I/N"),
        ({"shard": "1/25"}, ConfigError, "25 shards of 24 images"),
        ({"decoder": "cv2"}, ConfigError, "unknown decoder 'cv2'"),
    ],
)
def test_wrong_options_are_named(
    image_folder: Path,
    tmp_path: Path,
    options: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        extract(image_folder, **NET | options, out=tmp_path / "features")
    assert not (tmp_path / "features").exists()


def test_shards_make_the_store_that_one_run_makes(image_folder: Path, tmp_path: Path) -> None:
    options = {**NET, "layers": "features.pool2,pool5", "pool": "avg", "out": tmp_path}
    parts = [extract(image_folder, **options, shard=f"{i}/5") for i in range(1, 6)]
    assert len(set(parts)) == 5
    joined = join(parts, tmp_path / "joined.h5")
    assert extract(image_folder, **options) == joined, "the joined store is found"
    whole = extract(image_folder, **{**options, "out": tmp_path / "whole.h5"})
    with FeatureStore(joined) as found, FeatureStore(whole) as expected:
        assert found.digest == expected.digest
        assert found.image_ids == expected.image_ids
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_array_equal(found.image_sha256, expected.image_sha256)
        for layer in found.layers:
            np.testing.assert_allclose(found[layer][:], expected[layer][:], rtol=1e-3, atol=1e-6)
    assert verify(joined) == []


def test_a_shard_is_not_taken_for_the_whole(image_folder: Path, tmp_path: Path) -> None:
    options = {**NET, "pool": "avg"}
    part = extract(image_folder, **options, shard="1/2", out=tmp_path / "part.h5")
    assert extract(image_folder, **options, shard="1/2", out=part) == part
    with pytest.raises(StoreMismatchError, match=r"rows: asked None, found \(0, 12\)"):
        extract(image_folder, **options, out=part)


def test_a_loaded_net_can_be_given(image_folder: Path, tmp_path: Path) -> None:
    net = load_backbone("decaf-mini", weights="random", device="cpu")
    path = extract(image_folder, backbone=net, limit=3, pool="avg", out=tmp_path, quiet=True)
    assert path == extract(image_folder, **NET, limit=3, pool="avg", out=tmp_path)


def test_damaged_features_are_refused_by_all_that_read_them(
    image_folder: Path, tmp_path: Path
) -> None:
    options = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "quiet": True}
    path = extract(image_folder, **options, layers="fc6", out=tmp_path / "f")
    with h5py.File(path, locking=False) as file:
        layer = file["features/fc6"]
        start, row_bytes = layer.id.get_offset(), layer.shape[1] * 4
    with path.open("r+b") as file:
        for row in range(0, 24, 3):  # the sign of every value
            file.seek(start + row * row_bytes)
            values = np.frombuffer(file.read(row_bytes), "<f4")
            file.seek(start + row * row_bytes)
            file.write((-values).tobytes())
    assert len(verify(path)) == 1
    more = {**options, "layers": "fc6", "features": tmp_path / "f"}
    with pytest.raises(StoreError, match=r"8 rows: 0 \(blue/0.png\), 3 .*delete it and extract"):
        train(image_folder, **more, out=tmp_path / "model.safetensors")
    with pytest.raises(StoreError, match="checksums in 8 rows"):
        evaluate(image_folder, **more, out=tmp_path / "r.csv")
    assert not (tmp_path / "model.safetensors").exists()


# --- killed runs -------------------------------------------------------------------------

N_IMAGES, BATCH_SIZE, WORKERS, KILLS = 160, 4, 2, 8


def extract_and_note(folder: Path, out: Path, note: Path) -> None:
    """Extract, noting every row that is computed; runs in a process of its own."""
    load_batches = local.load_batches

    def noting(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        with note.open("a") as file:
            file.write("".join(f"{row}\n" for row in asked[0][1]))
        return load_batches(asked, *more)

    local.load_batches = noting
    options = {**NET, "layers": "features.pool2,pool5", "pool": "avg"}
    extract(folder, **options, out=out, batch_size=BATCH_SIZE, workers=WORKERS)


def rows_done(path: Path) -> set[int]:
    part = path.with_name(f"{path.name}.part")
    with h5py.File(part if part.exists() else path) as file:
        return set(np.flatnonzero(file["done"][:]).tolist())


@pytest.fixture
def many_images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    for number in range(N_IMAGES):
        path = tmp_path / "many" / f"class{number % 4}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    (tmp_path / "many" / "class1" / "1.png").write_bytes(b"broken")
    return tmp_path / "many"


@pytest.mark.slow
def test_killed_again_and_again_a_run_ends_as_an_uninterrupted_one(
    many_images: Path, tmp_path: Path
) -> None:
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["flat"])
    whole, killed, note = tmp_path / "whole.h5", tmp_path / "killed.h5", tmp_path / "note"
    once = fork.Process(target=extract_and_note, args=(many_images, whole, note))
    once.start()
    once.join()
    assert once.exitcode == 0
    chance, n_computed, n_killed = random.Random(0), 0, 0
    for _ in range(10 * KILLS):
        note.unlink()
        note.touch()
        before = rows_done(killed) if n_computed else set()
        process = fork.Process(target=extract_and_note, args=(many_images, killed, note))
        process.start()
        while process.is_alive() and not note.stat().st_size:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        if n_killed < KILLS and process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            n_killed += 1
        process.join()
        computed = [int(row) for row in note.read_text().split()]
        assert len(computed) == len(set(computed))
        blocks = {row // BATCH_SIZE for row in set(range(N_IMAGES)) - before}
        assert {row // BATCH_SIZE for row in computed} <= blocks, "a whole batch was computed again"
        n_computed += len(computed)
        if killed.exists():
            break
    assert n_killed == KILLS
    in_flight = KILLS * WORKERS * BATCH_SIZE
    assert n_computed <= N_IMAGES + in_flight + KILLS  # the broken image is tried in each run
    with h5py.File(whole) as expected, h5py.File(killed) as found:
        assert dict(found.attrs) == dict(expected.attrs)
        names: list[str] = []
        expected.visit(names.append)
        for name in names:
            if isinstance(expected[name], h5py.Dataset):
                np.testing.assert_array_equal(found[name][()], expected[name][()], err_msg=name)
    assert verify(killed) == []
    failures = [path.with_name(f"{path.stem}.failures.csv").read_text() for path in (whole, killed)]
    assert failures[0] == failures[1]


@pytest.mark.slow
def test_extracting_loads_nothing_of_heads_and_tables() -> None:
    code = (
        "import sys, decaf.extraction;"
        "print([m for m in ('sklearn', 'pandas', 'scipy.stats', 'faiss') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
