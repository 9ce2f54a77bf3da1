import errno
import os
import subprocess
import sys

import numpy as np
import pytest

from decaf.errors import StoreError
from decaf.store import disk


def test_a_second_lock_is_refused_until_the_first_is_let_go(tmp_path):
    path = tmp_path / "file"
    first = disk.open_locked(path, create=True)
    with pytest.raises(StoreError, match="another process"):
        disk.open_locked(path)
    os.close(first)
    os.close(disk.open_locked(path))


def test_a_file_renamed_while_it_was_being_locked_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "file"
    monkeypatch.setattr(disk.fcntl, "flock", lambda *_: path.rename(tmp_path / "renamed"))
    with pytest.raises(StoreError, match="another process"):
        disk.open_locked(path, create=True)


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(disk.fcntl, "flock", flock)
    os.close(disk.open_locked(tmp_path / "file", create=True))


def test_write_at_writes_all_bytes_though_the_system_takes_few(tmp_path, monkeypatch):
    pwrite = os.pwrite
    monkeypatch.setattr(disk.os, "pwrite", lambda fd, data, at: pwrite(fd, data[:7], at))
    array = np.arange(20, dtype="<f2").reshape(4, 5)
    path = tmp_path / "file"
    path.write_bytes(bytes(50))
    fd = os.open(path, os.O_RDWR)
    disk.write_at(fd, array, 6)
    os.close(fd)
    assert path.read_bytes() == bytes(6) + array.tobytes() + bytes(4)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reserves space")
def test_reserved_space_is_taken_on_disk(tmp_path):
    path = tmp_path / "file"
    path.touch()
    fd = os.open(path, os.O_RDWR)
    disk.reserve(fd, 2**20)
    os.close(fd)
    assert path.stat().st_blocks * 512 >= 2**20


def test_errors_say_what_is_needed_and_what_is_free(tmp_path):
    with (
        pytest.raises(StoreError, match=r"123 bytes needed.*No space left.*\d+ bytes free"),
        disk.disk_errors(tmp_path / "a.h5", 123),
    ):
        disk.require_space(tmp_path / "a.h5", 2**62)


def test_a_missing_folder_is_named(tmp_path):
    path = tmp_path / "none" / "a.h5"
    with pytest.raises(StoreError, match=r"no folder .*none; make it"), disk.disk_errors(path, 1):
        disk.require_space(path, 1)


def test_a_lock_goes_with_its_process(tmp_path):
    path = tmp_path / "file"
    code = (
        "import sys; from pathlib import Path; from decaf.store import disk; "
        "disk.open_locked(Path(sys.argv[1]), create=True); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with pytest.raises(StoreError, match="another process"):
            disk.open_locked(path)
        holder.kill()
    os.close(disk.open_locked(path))


def test_a_flush_runs_while_more_is_written_and_ends_before_the_file_is_closed(monkeypatch):
    flushed = []
    monkeypatch.setattr(disk.os, "fsync", flushed.append)
    sync = disk.BackgroundSync(7)
    sync.wrote(2**10)
    assert flushed == []
    sync.wrote(2**30)
    sync.close()
    assert flushed == [7]


def test_a_flush_that_failed_is_not_forgotten(monkeypatch):
    def fsync(_):
        raise OSError(errno.EIO, "disk is gone")

    monkeypatch.setattr(disk.os, "fsync", fsync)
    sync = disk.BackgroundSync(7)
    sync.wrote(2**30)
    with pytest.raises(OSError, match="disk is gone"):
        sync.wait()
    with pytest.raises(OSError, match="disk is gone"):
        sync.wrote(2**30)
    sync.close()
