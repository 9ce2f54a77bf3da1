"""Extraction while things go wrong: signals, a full disk, no locks, vanishing images."""

import errno
import os
import resource
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import h5py
import numpy as np
import pytest
from flat import extract

from decaf.engines import local
from decaf.engines.signals import stop_on_signals
from decaf.store import FeatureStore, disk, verify

OPTIONS = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "batch_size": 4}
NET = ("--backbone", "decaf-mini", "--weights", "random", "--device", "cpu", "--batch-size", "4")


def slowly() -> None:
    """Make every batch take a while."""
    load_batches = local.load_batches

    def load(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        time.sleep(0.15)
        return load_batches(asked, *more)

    local.load_batches = load


def with_a_small_quota() -> None:
    """Let the process write no byte beyond the first 200 kB of a file, from the ninth batch on."""
    load_batches, n_batches = local.load_batches, 0
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def load(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        nonlocal n_batches
        n_batches += 1
        if n_batches > 8:
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        return load_batches(asked, *more)

    local.load_batches = load


def rows_done(part: Path) -> set[int]:
    with h5py.File(part, "r", locking=False) as file:
        return set(np.flatnonzero(file["done"][:]).tolist())


def assert_resumes(many: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run again in this process: only batches that miss rows are computed, all is as in one run."""
    before = rows_done(out.with_name(out.name + ".part"))
    load_batches, computed = local.load_batches, []

    def load(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        computed.extend(asked[0][1])
        return load_batches(asked, *more)

    monkeypatch.setattr(local, "load_batches", load)
    extract(many, **OPTIONS, out=out, quiet=True)
    missing = set(range(96)) - before
    assert missing <= set(computed)
    assert {row // 4 for row in computed} == {row // 4 for row in missing}
    assert len(computed) == len(set(computed))
    whole = extract(many, **OPTIONS, out=out.with_name("whole.h5"), quiet=True)
    with FeatureStore(out) as found, FeatureStore(whole) as expected:
        for layer in expected.layers:
            np.testing.assert_array_equal(found[layer][:], expected[layer][:])
    assert verify(out) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_what_is_in_flight_and_says_how_to_go_on(
    number: signal.Signals,
    many: Path,
    tmp_path: Path,
    decaf: Callable[..., BaseProcess],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "features.h5"
    part = tmp_path / "features.h5.part"
    process = decaf(
        "extract", "--dataset", str(many), *NET, "--out", str(out), "--workers", "2",
        prepare=slowly,
    )  # fmt: skip
    while process.is_alive() and not (part.exists() and rows_done(part)):
        time.sleep(0.01)
    before = rows_done(part)
    os.kill(process.pid, number)
    process.join(30)
    assert process.exitcode == 130
    done = rows_done(part)
    assert before < done, "the batches in flight were thrown away"
    assert len(done) <= len(before) + 4 * 4, "new batches were begun after the signal"
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last == (
        f"stopped by {number.name}: {len(done)} of 96 rows are safe in {part}; "
        "run the same command again to go on"
    )
    assert_resumes(many, out, monkeypatch)


def test_the_first_signal_is_a_wish_and_the_second_a_command() -> None:
    def interrupt_twice() -> None:
        with stop_on_signals() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.wait(1)
            assert stop.reason == "SIGINT"
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_disk_that_fills_on_the_way_loses_nothing(
    many: Path, tmp_path: Path, decaf: Callable[..., BaseProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "features.h5"
    process = decaf(
        "extract", "--dataset", str(many), *NET, "--out", str(out), "--workers", "2", "--quiet",
        prepare=with_a_small_quota,
    )  # fmt: skip
    process.join(60)
    assert process.exitcode == 1
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "File too large" in line
    assert "bytes free); make space, or write to another folder" in line
    assert not out.exists()
    assert 0 < len(rows_done(out.with_name("features.h5.part"))) < 96
    assert_resumes(many, out, monkeypatch)


def test_a_file_system_without_locks_takes_a_store(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(disk.fcntl, "flock", flock)
    path = extract(many, **OPTIONS, out=tmp_path / "features.h5", quiet=True)
    with FeatureStore(path) as store:
        assert store.done.all()


def test_a_image_that_vanishes_on_the_way_is_a_failure_and_no_end(
    many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_batches = local.load_batches

    def load(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        (many / "b" / "93.png").unlink(missing_ok=True)
        return load_batches(asked, *more)

    monkeypatch.setattr(local, "load_batches", load)
    path = extract(many, **OPTIONS, out=tmp_path / "features.h5", quiet=True)
    with FeatureStore(path) as store:
        (row,) = np.flatnonzero(~store.done)
        assert store.image_ids[row] == "b/93.png"
    assert "No such file" in (tmp_path / "features.failures.csv").read_text()


def test_the_closing_line_states_the_bound(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(many, **OPTIONS, out=tmp_path / "features.h5", workers=1)
    (line,) = [x for x in capsys.readouterr().err.splitlines() if "images/s" in x]
    words = line.split()
    rate, bound = float(words[5].strip("(")), float(words[words.index("bound") + 1])
    share = float(words[words.index("reached") + 1])
    assert rate < bound
    assert share == pytest.approx(rate / bound, abs=0.02)
