"""Stored features are of the images that are there now, and failures are tried again."""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from small_folders import bmp, features, run, write

from decaf.engines import contents, local
from decaf.errors import StoreMismatchError
from decaf.store import FeatureStore, failures_path, join, verify


def test_folders_of_the_same_names_and_sizes_have_each_their_own_features(tmp_path: Path) -> None:
    plates = [write(tmp_path / f"plate{i}" / "images", 100 * i) for i in (1, 2)]
    paths = [run(plate, tmp_path / "f") for plate in plates]
    assert paths[0] != paths[1]
    for plate, path in zip(plates, paths, strict=True):
        np.testing.assert_array_equal(
            features(path), features(run(plate, tmp_path / plate.parent.name))
        )
        assert run(plate, tmp_path / "f") == path, "it is found again"
    with FeatureStore(paths[0]) as one, FeatureStore(paths[1]) as other:
        assert one.digest != other.digest


@pytest.mark.parametrize("size", [40, 48])
def test_a_replaced_image_is_computed_again_and_no_other(
    tmp_path: Path, computed: list[int], size: int
) -> None:
    images = write(tmp_path / "images")
    first = run(images, tmp_path / "f")
    before = features(first)
    image = images / "a" / "04.bmp"
    times = image.stat()
    image.write_bytes(bmp(77, size))
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    computed.clear()
    second = run(images, tmp_path / "f")
    assert computed == [2]
    expected = features(run(images, tmp_path / "new"))
    np.testing.assert_array_equal(features(second), expected)
    np.testing.assert_array_equal(features(first), before)
    assert verify(second) == []
    assert run(images, tmp_path / "f") == second


def test_a_store_at_a_path_of_its_own_is_not_taken_for_other_images(tmp_path: Path) -> None:
    images = write(tmp_path / "images")
    path = run(images, tmp_path / "mine.h5")
    (images / "b" / "05.bmp").write_bytes(bmp(78))
    with pytest.raises(StoreMismatchError, match=r"other images.*1 were replaced.*b/05.bmp"):
        run(images, path)


def test_touched_and_moved_images_are_compared_once_and_kept(
    tmp_path: Path, computed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write(tmp_path / "images")
    path = run(images, tmp_path / "f")
    (tmp_path / "other").mkdir()
    images = images.rename(tmp_path / "other" / "images")
    for image in images.glob("*/*"):
        image.touch()
    computed.clear()
    assert run(images, tmp_path / "f") == path
    assert computed == []
    assert verify(path) == []
    monkeypatch.setattr(contents, "read_bytes", None)  # the second time stamps suffice
    assert run(images, tmp_path / "f") == path


def test_an_image_replaced_while_a_run_was_stopped_is_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = write(tmp_path / "images")
    load_batches = local.load_batches

    def fail_late(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        if 8 in asked[0][1]:
            raise KeyboardInterrupt
        return load_batches(asked, *more)

    monkeypatch.setattr(local, "load_batches", fail_late)
    with pytest.raises(KeyboardInterrupt):
        run(images, tmp_path / "f", workers=0)
    monkeypatch.undo()
    replaced = images / "a" / "02.bmp"
    replaced.write_bytes(bmp(79))
    np.testing.assert_array_equal(
        features(run(images, tmp_path / "f")), features(run(images, tmp_path / "new"))
    )


def test_pool5_of_replaced_images_is_no_start(tmp_path: Path) -> None:
    images = write(tmp_path / "images")
    run(images, tmp_path / "f", layers="pool5")
    (images / "a" / "02.bmp").write_bytes(bmp(80))
    found, expected = (features(run(images, tmp_path / out)) for out in ("f", "new"))
    np.testing.assert_array_equal(found, expected)


def test_pool5_that_lacks_an_image_which_can_be_read_now_is_no_start(tmp_path: Path) -> None:
    images = write(tmp_path / "images")
    broken = images / "a" / "02.bmp"
    good = broken.read_bytes()
    broken.write_bytes(bytes(len(good)))
    run(images, tmp_path / "f", layers="pool5", max_failures=0.5)
    broken.write_bytes(good)
    found, expected = (features(run(images, tmp_path / out)) for out in ("f", "new"))
    np.testing.assert_array_equal(found, expected)


def test_an_archive_that_was_replaced_is_noticed(tmp_path: Path) -> None:
    tar = tmp_path / "images.tar"

    def pack(first: int) -> Path:
        with tarfile.open(tar, "w") as file:
            for number in range(8):
                data = bmp(first + number)
                entry = tarfile.TarInfo(f"{'ab'[number % 2]}/{number}.bmp")
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
        return tar

    one = features(run(pack(0), tmp_path / "f"))
    other = features(run(pack(50), tmp_path / "f"))
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(other, features(run(tar, tmp_path / "new")))


def test_failures_are_tried_again_once_their_files_are_right(
    tmp_path: Path, computed: list[int]
) -> None:
    images = write(tmp_path / "images")
    broken, closed = images / "a" / "02.bmp", images / "b" / "07.bmp"
    good = broken.read_bytes()
    broken.write_bytes(bytes(len(good)))
    kept = closed.rename(tmp_path / "kept")
    closed.symlink_to(tmp_path / "nowhere")
    path = run(images, tmp_path / "f", max_failures=0.5)
    assert failures_path(path).exists()
    computed.clear()
    assert run(images, tmp_path / "f") == path
    assert computed == [], "what is as it was fails again"
    broken.write_bytes(good)
    closed.unlink()
    kept.rename(closed)
    assert run(images, tmp_path / "f") == path
    np.testing.assert_array_equal(features(path), features(run(images, tmp_path / "new")))
    assert not failures_path(path).exists()
    assert verify(path) == []


def test_failures_of_a_joined_store_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write(tmp_path / "images")
    good = (images / "a" / "02.bmp").read_bytes()
    (images / "a" / "02.bmp").write_bytes(b"no")
    out = tmp_path / "f"
    shards = [run(images, out, shard=f"{i}/2", max_failures=0.5) for i in (1, 2)]
    joined = join(shards, out / "joined.h5")
    (images / "a" / "02.bmp").write_bytes(good)
    assert run(images, out, quiet=False) == joined
    assert "could be tried again now, but" in capsys.readouterr().err


def test_unreadable_images_of_patches_are_counted_as_images(tmp_path: Path) -> None:
    from decaf.errors import DataError

    images = write(tmp_path / "images", n_images=10)
    for image in sorted(images.glob("*/*"))[:7]:
        image.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"of 10 images cannot be used"):
        run(images, tmp_path / "f", view="patches", max_failures=0.3, patches_per_image=50)


def test_a_batch_that_was_half_written_ends_with_the_same_bytes(tmp_path: Path) -> None:
    images = write(tmp_path / "images")
    whole = run(images, tmp_path / "whole.h5", workers=0).read_bytes()
    path = run(images, tmp_path / "killed.h5", workers=0)
    with FeatureStore(path) as store:
        offset = store._file.columns["done"].offset
    part = path.rename(f"{path}.part")
    with part.open("r+b") as file:  # killed within the flags of each batch
        file.seek(offset)
        file.write(bytes([1, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1]))
    assert run(images, tmp_path / "killed.h5", workers=0).read_bytes() == whole
