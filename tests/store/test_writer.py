import os
import signal
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from decaf.errors import StoreError
from decaf.store import FeatureStore, part, verify
from decaf.store.opening import read_header

ALL = np.arange(12)


def write(make, writer, rows):
    writer.write(np.array(rows), make.features(rows), make.sha256(rows))


def test_any_order_and_any_pieces_give_the_same_bytes(make, tmp_path):
    whole = make.store(tmp_path / "whole.h5").read_bytes()
    with make.writer(tmp_path / "pieces.h5") as writer:
        for rows in ([11, 3, 4, 5, 0], [], [2, 1], [10, 9, 8, 7, 6]):
            if rows:
                write(make, writer, rows)
        assert writer.finish().read_bytes() == whole


def test_pending_shrinks_as_rows_come(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        np.testing.assert_array_equal(writer.pending(), ALL)
        write(make, writer, [3, 1])
        writer.fail(5, "truncated")
        np.testing.assert_array_equal(writer.pending(), [0, 2, 4, 6, 7, 8, 9, 10, 11])


def test_an_empty_batch_changes_nothing(make, tmp_path):
    empty = {layer: np.empty((0, n), np.float32) for layer, n in make.n_features.items()}
    with make.writer(tmp_path / "a.h5") as writer:
        writer.write(np.array([], np.int64), empty, [])
        np.testing.assert_array_equal(writer.pending(), ALL)


def test_a_resumed_run_ends_with_the_same_bytes(make, tmp_path):
    path = tmp_path / "a.h5"
    with make.writer(path) as writer:
        write(make, writer, [4, 7])
    assert not path.exists()
    with make.writer(path) as writer:
        rows = writer.pending().tolist()
        assert rows == [0, 1, 2, 3, 5, 6, 8, 9, 10, 11]
        write(make, writer, rows)
        writer.finish()
    assert path.read_bytes() == make.store(tmp_path / "whole.h5").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.h5", "whole.h5"]


def test_an_unsound_row_is_written_again(make, tmp_path, flip):
    path = tmp_path / "a.h5"
    with make.writer(path) as writer:
        write(make, writer, ALL.tolist())
    offset = read_header(tmp_path / "a.h5.part").columns["features/fc6"].offset
    flip(tmp_path / "a.h5.part", offset + 4 * 5 * 4)
    with make.writer(path) as writer:
        np.testing.assert_array_equal(writer.pending(), [4])
        write(make, writer, [4])
        writer.finish()
    assert verify(path) == []


def test_finishing_too_early_is_refused(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        write(make, writer, [0, 1])
        with pytest.raises(StoreError, match="10 of 12 rows neither done nor failed"):
            writer.finish()
    assert (tmp_path / "a.h5.part").exists()


def test_a_second_writer_is_refused(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        with pytest.raises(StoreError, match="another process writing it"):
            make.writer(tmp_path / "a.h5")
        write(make, writer, ALL.tolist())
        writer.finish()
    assert verify(tmp_path / "a.h5") == []


def test_a_name_without_its_suffix_is_refused(make, tmp_path):
    with pytest.raises(StoreError, match=r"no suffix \.h5"):
        make.writer(tmp_path / "a.hdf5")


@pytest.mark.parametrize("rows", [[0, 0], [-1], [12], [3]])
def test_rows_that_are_not_pending_are_refused(make, tmp_path, rows):
    with make.writer(tmp_path / "a.h5") as writer:
        write(make, writer, [3])
        with pytest.raises(StoreError, match="write each pending row once"):
            writer.write(np.array(rows), make.features([5] * len(rows)), make.sha256(rows))
    assert verify(tmp_path / "a.h5.part") == []


def test_shapes_and_digests_that_do_not_fit_are_refused(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        features = make.features([0, 1])
        with pytest.raises(StoreError, match=r"'fc6' of shape \(2, 5\), found \(2, 4\)"):
            writer.write(ALL[:2], features | {"fc6": features["fc6"][:, 1:]}, make.sha256([0, 1]))
        with pytest.raises(StoreError, match=r"'features.12' of shape \(2, 3\), found none"):
            writer.write(ALL[:2], {"fc6": features["fc6"]}, make.sha256([0, 1]))
        for sha256 in ([bytes(32)], [bytes(31), bytes(33)]):
            with pytest.raises(StoreError, match="32 bytes for each row"):
                writer.write(ALL[:2], features, sha256)
        np.testing.assert_array_equal(writer.pending(), ALL)


def test_float16_is_rounded_and_overflow_is_refused(make, tmp_path):
    features = make.features(ALL)
    features["fc6"][7, 2] = 70_000
    with make.writer(tmp_path / "a.h5", dtype="float16") as writer:
        with pytest.raises(StoreError, match=r"'fc6' as float16.* row 7 \(tööl/7.jpg\).*not fin"):
            writer.write(ALL, features, make.sha256(ALL))
        write(make, writer, ALL.tolist())
        writer.finish()
    with FeatureStore(tmp_path / "a.h5") as store:
        expected = make.features(ALL)["fc6"].astype(np.float16)
        np.testing.assert_array_equal(store["fc6"][:], expected, strict=True)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused_by_row_not_by_position(make, tmp_path, value):
    features = make.features([9, 2])
    features["features.12"][1, 0] = value
    with (
        make.writer(tmp_path / "a.h5") as writer,
        pytest.raises(StoreError, match="value of row 2 "),
    ):
        writer.write(np.array([9, 2]), features, make.sha256([9, 2]))


def test_failures_are_listed_and_their_rows_are_nan_and_not_done(make, tmp_path):
    with make.writer(tmp_path / "a.h5") as writer:
        for row in (8, 2):
            writer.fail(row, f"reason {row}")
        write(make, writer, writer.pending().tolist())
        assert writer.n_failed == 2
        writer.finish()
    table = pd.read_csv(tmp_path / "a.failures.csv")
    assert table["row"].tolist() == [2, 8]
    assert table["image_id"].tolist() == ["tööl/2.jpg", "tööl/8.jpg"]
    assert table["reason"].tolist() == ["reason 2", "reason 8"]
    with FeatureStore(tmp_path / "a.h5") as store:
        np.testing.assert_array_equal(np.flatnonzero(~store.done), [2, 8])
        assert np.isnan(store["fc6"][[2, 8]]).all()
        assert np.isfinite(store["fc6"][store.done]).all()


def test_failed_rows_are_tried_again_and_the_stale_list_goes(make, tmp_path):
    path = tmp_path / "a.h5"
    with make.writer(path) as writer:
        writer.fail(2, "the disk was away")
        write(make, writer, [0, 1])
    assert (tmp_path / "a.failures.csv").exists()
    with make.writer(path) as writer:
        assert 2 in writer.pending()
        write(make, writer, writer.pending().tolist())
        writer.finish()
    assert not (tmp_path / "a.failures.csv").exists()
    assert path.read_bytes() == make.store(tmp_path / "whole.h5").read_bytes()


def test_a_missing_folder_is_named(make, tmp_path):
    with pytest.raises(StoreError, match=r"found no folder .*none; make it"):
        make.writer(tmp_path / "none" / "a.h5")


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX users")
def test_a_read_only_folder_is_named(make):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root may write anywhere
        try:
            with pytest.raises(StoreError, match=r"bytes needed\), found: Permission denied"):
                make.writer(folder / "a.h5")
        finally:
            os.seteuid(user)
            folder.chmod(0o755)
        assert list(folder.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of one MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_too_small_for_the_layout(make, small_disk, monkeypatch):
    with pytest.raises(StoreError, match=r"\d+ bytes needed\).*No space.*\d+ bytes free"):
        make.writer(small_disk / "a.h5", 20_000)
    assert list(small_disk.iterdir()) == []
    monkeypatch.setattr(part, "require_space", lambda *_: None)  # an estimate may be wrong
    with pytest.raises(StoreError, match="No space left"):
        make.writer(small_disk / "a.h5", 20_000)
    assert list(small_disk.iterdir()) == []


def test_a_reserved_store_is_not_hurt_when_the_disk_fills(make, small_disk):
    with make.writer(small_disk / "a.h5", 1000) as writer:
        fill(small_disk)
        write(make, writer, list(range(1000)))
        writer.finish()
    assert verify(small_disk / "a.h5") == []


def test_a_disk_that_fills_where_space_cannot_be_reserved(make, small_disk, monkeypatch):
    monkeypatch.setattr(part, "reserve", lambda *_: None)
    path = small_disk / "a.h5"
    with make.writer(path, 5000) as writer:
        write(make, writer, list(range(100)))
        ballast = fill(small_disk)
        with pytest.raises(StoreError, match=r"No space left.*0 bytes free"):
            write(make, writer, list(range(100, 5000)))
    ballast.unlink()
    with make.writer(path, 5000) as writer:
        assert writer.pending()[0] >= 100
        rows = writer.pending().tolist()
        write(make, writer, rows)
        writer.finish()
    assert verify(path) == []


def fill(folder):
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return ballast


KILLED_RUN = """
import os, sys, time
from pathlib import Path
from importlib.util import module_from_spec, spec_from_file_location

folder, helpers = Path(sys.argv[1]), sys.argv[2]
spec = spec_from_file_location("helpers", helpers)
make = module_from_spec(spec)
spec.loader.exec_module(make)
computed = os.open(folder / "computed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
print("begun", flush=True)
with make.open_writer(folder / "a.h5", 2000) as writer:
    pending = writer.pending()
    for start in range(0, len(pending), 8):
        rows = pending[start : start + 8]
        os.write(computed, (" ".join(map(str, rows)) + "\\n").encode())
        writer.write(rows, make.make_features(rows), make.make_sha256(rows))
        time.sleep(0.001)
    writer.finish()
"""


@pytest.mark.slow
def test_of_processes_that_begin_one_store_at_once_one_writes_it(make, tmp_path):
    helpers = Path(__file__).parent / "conftest.py"
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path), str(helpers)]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [run.communicate(timeout=120)[1].strip() for run in runs]
    refused = [text for text in said if text]
    assert len(refused) == 3
    for text in refused:
        last = text.splitlines()[-1]
        assert last.startswith("decaf.errors.StoreError: asked to ")
        assert "another process" in last or "found it complete" in last
    assert verify(tmp_path / "a.h5") == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.h5", "computed"]


@pytest.mark.slow
def test_killed_at_any_moment_and_resumed_to_the_same_bytes(make, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "a.h5"
    helpers = Path(__file__).parent / "conftest.py"
    command = [sys.executable, "-c", KILLED_RUN, str(tmp_path), str(helpers)]
    n_killed = 0
    for delay in [*rng.uniform(0, 0.1, 7), 60]:
        if path.exists():
            break
        with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
            run.stdout.readline()
            try:
                run.wait(delay)
            except subprocess.TimeoutExpired:
                run.kill()
        n_killed += run.returncode == -signal.SIGKILL
        left = tmp_path / "a.h5.part"
        assert not left.exists() or verify(left) == []
    assert n_killed >= 3
    assert path.read_bytes() == make.store(tmp_path / "whole.h5", 2000).read_bytes()
    computed = (tmp_path / "computed").read_text().split()
    rows, times = np.unique(computed, return_counts=True)
    assert len(rows) == 2000
    assert (times - 1).sum() <= 8 * n_killed


def test_memory_does_not_grow_with_the_rows_written(make, tmp_path):
    peaks = []
    for n_images in (500, 5000):
        with make.writer(tmp_path / f"{n_images}.h5", n_images) as writer:
            tracemalloc.start()
            for start in range(0, n_images, 50):
                write(make, writer, list(range(start, start + 50)))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 5000
