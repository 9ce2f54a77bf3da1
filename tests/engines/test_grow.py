"""Stores that grow: only what is new is computed, and all is as a fresh extraction makes it."""

import fcntl
import io
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flat import extract
from quick import slow_unless
from small_folders import OPTIONS, bmp, run, write

from decaf.engines import contents, local
from decaf.store import FeatureStore, failures_path, join, verify


def replace_file(image: Path, number: int) -> None:
    """Give an image other pixels, and leave its size and time as they were."""
    times = image.stat()
    image.write_bytes(bmp(number))
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))


def assert_as_fresh(path: Path, images: Path, **more: object) -> None:
    """Require that a store has the bytes of one that is made in an empty folder."""
    fresh = run(images, path.parent / "fresh", **more)
    assert path.read_bytes() == fresh.read_bytes()
    assert verify(path) == []


def manifest(images: Path, ids: list[str], labels: str = "") -> Path:
    file = images / "table.csv"
    lines = [f"{x},{labels[i % len(labels)] if labels else x[0]}" for i, x in enumerate(ids)]
    file.write_text("\n".join(["path,label", *lines]))
    return file


@pytest.mark.parametrize(
    "sizes", [(40, 9, 5, 4, 3), pytest.param((1000, 100, 50, 20, 10), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_only_new_images_of_a_folder_are_computed(
    tmp_path: Path,
    computed: list[int],
    capsys: pytest.CaptureFixture[str],
    sizes: tuple[int, ...],
    runtime: str,
) -> None:
    n_images, n_added, n_removed, n_renamed, n_replaced = sizes
    images = write(tmp_path / "images", n_images=n_images)
    options = {"layers": "pool5,fc6", "runtime": runtime}
    run(images, tmp_path / "f", **options)
    files = sorted(images.glob("*/*"))
    random.Random(0).shuffle(files)
    for image in files[:n_removed]:
        image.unlink()
    for number, image in enumerate(files[n_removed : n_removed + n_renamed]):
        other = images / "ba"[image.parent.name == "b"] / f"renamed{number}.bmp"
        image.rename(other)
    for number, image in enumerate(files[-n_replaced:]):
        replace_file(image, 5000 + number)
    for number in range(n_added):
        (images / "ab"[number % 2] / f"{number:02d}x.bmp").write_bytes(bmp(9000 + number))
    computed.clear()
    grown = run(images, tmp_path / "f", **options, quiet=False)
    n_new = n_added + n_replaced
    assert len(computed) == n_new
    n_taken = n_images - n_removed - n_replaced
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"{n_new} images in ")
    assert line.endswith(f"; {n_taken} rows taken over, {n_new} computed")
    assert_as_fresh(grown, images, **options)


def relabelled(images: Path) -> Path:
    return manifest(images, [f"{'ab'[i % 2]}/{i:02d}.bmp" for i in range(12)], "xyz")


def reordered(images: Path) -> Path:
    return manifest(images, [f"{'ab'[i % 2]}/{i:02d}.bmp" for i in reversed(range(12))])


def renamed(images: Path) -> Path:
    for name in "ab":
        (images / name).rename(images / f"class {name}")
    return images


def moved(images: Path) -> Path:
    return images.rename(images.parent / "elsewhere")


def copied(images: Path) -> Path:
    (images / "a" / "copy.bmp").write_bytes(bmp(3))
    return images


def fewer(images: Path) -> Path:
    (images / "a" / "00.bmp").unlink()
    return images


@pytest.mark.parametrize("change", [relabelled, reordered, renamed, moved, copied, fewer])
def test_nothing_is_computed_where_no_image_is_new(
    tmp_path: Path, computed: list[int], change: Callable[[Path], Path]
) -> None:
    images = write(tmp_path / "images")
    run(images, tmp_path / "f")
    computed.clear()
    changed = change(images)
    grown = run(changed, tmp_path / "f")
    assert computed == []
    assert_as_fresh(grown, changed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([{}], {"limit": 5}),
        ([{}], {"shard": "2/3"}),
        ([{"shard": "1/2"}, {"shard": "2/2"}], {}),
        ([{"shard": "1/2"}, {"shard": "2/2"}], {"shard": "2/3"}),
        ([{"layers": "pool5,fc6,fc7"}], {"limit": 7}),
        ([{"limit": 6}, {"layers": "fc6,fc7"}], {"limit": 9}),
    ],
)
def test_rows_come_from_shards_parts_and_stores_with_more_layers(
    tmp_path: Path, computed: list[int], before: list[dict[str, object]], after: dict[str, object]
) -> None:
    images = write(tmp_path / "images")
    for options in before:
        run(images, tmp_path / "f", **options)
    computed.clear()
    grown = run(images, tmp_path / "f", **after)
    assert computed == []
    assert_as_fresh(grown, images, **after)


def test_rows_of_several_stores_come_together(tmp_path: Path, computed: list[int]) -> None:
    one, other, both = (write(tmp_path / name, 100 * i) for i, name in enumerate("abc"))
    shards = [run(one, tmp_path / "shards", shard=f"{i}/2") for i in (1, 2)]
    run(other, tmp_path / "f")
    join(shards, tmp_path / "f" / "joined.h5")
    for name in "ab":
        for number in range(0, 12, 2):
            source = (one, other)[name == "b"] / "a" / f"{number:02d}.bmp"
            (both / name / source.name).write_bytes(source.read_bytes())
    computed.clear()
    grown = run(both, tmp_path / "f")
    assert len(computed) == 6
    assert_as_fresh(grown, both)


def test_damaged_rows_of_a_store_are_computed(tmp_path: Path, computed: list[int]) -> None:
    images = write(tmp_path / "images")
    path = run(images, tmp_path / "f")
    with FeatureStore(path) as store:
        columns = store._file.columns
    with path.open("r+b") as file:
        for name, row in (("features/fc6", 3), ("crc32/fc6", 5), ("image_sha256", 8)):
            file.seek(columns[name].offset + row * columns[name].row_bytes + 1)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
    fewer(images)
    computed.clear()
    grown = run(images, tmp_path / "f")
    assert len(computed) == 3
    assert_as_fresh(grown, images)


@pytest.mark.parametrize("written", [True, False])
def test_an_unfinished_store_gives_its_rows_unless_it_is_being_written(
    tmp_path: Path, computed: list[int], written: bool
) -> None:
    images = write(tmp_path / "images")
    path = run(images, tmp_path / "f")
    part = path.rename(f"{path}.part")
    with FeatureStore(part) as store:
        offset = store._file.columns["done"].offset
    with part.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(5))  # killed when five rows were to come
    fewer(images)
    computed.clear()
    with part.open("rb") as file:
        if written:
            fcntl.flock(file, fcntl.LOCK_EX)
        grown = run(images, tmp_path / "f")
    assert len(computed) == (11 if written else 4)
    assert_as_fresh(grown, images)


def test_a_growing_store_that_is_killed_goes_on(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write(tmp_path / "images")
    run(images, tmp_path / "f")
    for number in range(8):
        (images / "b" / f"new{number}.bmp").write_bytes(bmp(500 + number))
    computed.clear()
    load_batches = local.load_batches

    def fail_late(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        if len(computed) >= 4:
            raise KeyboardInterrupt
        return load_batches(asked, *more)

    with monkeypatch.context() as patch:
        patch.setattr(local, "load_batches", fail_late)
        with pytest.raises(KeyboardInterrupt):
            run(images, tmp_path / "f", workers=0)
    replace_file(images / "a" / "00.bmp", 700)  # a row that was taken over
    grown = run(images, tmp_path / "f", workers=0)
    assert len(computed) == 9
    assert_as_fresh(grown, images)


def test_failures_of_the_store_are_tried_again(tmp_path: Path, computed: list[int]) -> None:
    images, broken = write(tmp_path / "images"), {"a/02.bmp": bmp(2), "b/07.bmp": bmp(7)}
    for name in broken:
        (images / name).write_bytes(b"no image")
    run(images, tmp_path / "f", max_failures=0.5)
    (images / "a" / "02.bmp").write_bytes(broken["a/02.bmp"])
    (images / "a" / "new.bmp").write_bytes(bmp(99))
    computed.clear()
    grown = run(images, tmp_path / "f", max_failures=0.5)
    assert len(computed) == 3
    with FeatureStore(grown) as store:
        assert [store.image_ids[row] for row in np.flatnonzero(~store.done)] == ["b/07.bmp"]
    assert "b/07.bmp" in failures_path(grown).read_text()
    assert_as_fresh(grown, images, max_failures=0.5)


@pytest.mark.parametrize("views", ["patches", "dense", "ten-crop"])
def test_rows_are_told_apart_by_their_boxes(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch, views: str
) -> None:
    load_dense = local.load_dense

    def load(plan: local.Plan, rows: list[int]) -> object:
        computed.extend(rows)
        return load_dense(plan, rows)

    monkeypatch.setattr(local, "load_dense", load)
    images = write(tmp_path / "images", n_images=5)
    options = {"view": views} | ({} if views == "ten-crop" else {"patch_scales": "1,2"})
    run(images, tmp_path / "f", **options)
    n_rows = len(computed)
    assert n_rows % 5 == 0
    (images / "a" / "00.bmp").rename(images / "b" / "zz.bmp")
    (images / "a" / "01.bmp").write_bytes(bmp(99))
    computed.clear()
    grown = run(images, tmp_path / "f", **options)
    assert len(computed) == n_rows / 5
    assert_as_fresh(grown, images, **options)


def test_images_of_archives_are_taken_over(tmp_path: Path, computed: list[int]) -> None:
    def pack(numbers: list[int]) -> Path:
        with tarfile.open(tmp_path / "images.tar", "w") as file:
            for number in numbers:
                entry = tarfile.TarInfo(f"{'ab'[number % 2]}/{number}.bmp")
                entry.size = len(bmp(number))
                file.addfile(entry, io.BytesIO(bmp(number)))
        return tmp_path / "images.tar"

    run(pack([0, 1, 2, 3, 4, 5]), tmp_path / "f")
    computed.clear()
    grown = run(pack([9, 1, 3, 2, 5, 8]), tmp_path / "f")
    assert len(computed) == 2
    assert_as_fresh(grown, tmp_path / "images.tar")


def test_only_what_has_another_stamp_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write(tmp_path / "images")
    run(images, tmp_path / "f")
    read_bytes, read = contents.read_bytes, []

    def note(dataset: object, row: int) -> bytes:
        read.append(row)
        return read_bytes(dataset, row)

    monkeypatch.setattr(contents, "read_bytes", note)
    (images / "a" / "00.bmp").rename(images / "a" / "000.bmp")
    (images / "b" / "new.bmp").write_bytes(bmp(99))
    run(images, tmp_path / "f")
    assert len(read) == 2
    read.clear()
    (tmp_path / "others").mkdir()
    for name in "ab":
        (images / name).rename(tmp_path / "others" / f"class {name}")
    run(tmp_path / "others", tmp_path / "f")
    assert read == [], "stores of another data set are of no use"


def test_other_settings_give_no_rows(tmp_path: Path, computed: list[int]) -> None:
    images = write(tmp_path / "images")
    for options in ({"seed": 1}, {"view": "warp"}, {"dtype": "float16"}, {"layers": "fc7"}):
        run(images, tmp_path / "f", **options)
    fewer(images)
    computed.clear()
    run(images, tmp_path / "f")
    assert len(computed) == 11


@pytest.mark.parametrize(
    ("backbone", "layers"),
    slow_unless(
        lambda one: one[0] == "decaf-mini",
        [("decaf-mini", "pool5,fc6,fc7"), ("squeezenet1_1", "features.3,pool5")],
    ),
)
def test_a_row_does_not_depend_on_the_rows_beside_it(
    tmp_path: Path, backbone: str, layers: str
) -> None:
    images = write(tmp_path / "images", n_images=7)
    options = OPTIONS | {"backbone": backbone, "layers": layers, "quiet": True}
    whole = extract(images, **options, out=tmp_path / "whole")
    with FeatureStore(whole) as expected:
        for limit in (1, 3):
            some = extract(images, **options, limit=limit, out=tmp_path / f"{limit}.h5")
            with FeatureStore(some) as found:
                rows = [expected.image_ids.index(x) for x in found.image_ids]
                for layer in layers.split(","):
                    np.testing.assert_array_equal(found[layer][:], expected[layer][rows])
