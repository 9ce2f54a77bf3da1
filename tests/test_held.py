"""Folders that one run works in at a time."""

import threading
import time
from pathlib import Path

import pytest

from decaf.errors import DataError
from decaf.held import free_folders, held, remove_free


def test_a_second_run_waits_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, order = tmp_path / "new" / "run-1", []

    def second() -> None:
        with held(folder):
            order.append("second")

    with held(folder):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.3)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]
    assert f"another run works in {folder}; waiting until it ends" in capsys.readouterr().err


def test_a_folder_that_is_removed_while_a_run_waits_is_made_anew(tmp_path: Path) -> None:
    folder, found = tmp_path / "run-1", []

    def second() -> None:
        with held(folder):
            found.extend([folder.is_dir(), free_folders(tmp_path, "run-*")])

    with held(folder):
        other = threading.Thread(target=second)
        other.start()
        time.sleep(0.3)
        folder.rmdir()
    other.join(10)
    assert found == [True, []]


def test_only_folders_that_nobody_holds_are_removed(tmp_path: Path) -> None:
    kept, left = tmp_path / "run-kept", tmp_path / "run-left"
    with held(left):
        (left / "file").touch()
    with held(kept):
        assert free_folders(tmp_path, "run-*") == [left]
        for folder in (kept, left, tmp_path / "run-none"):
            remove_free(folder)
        assert [path.name for path in tmp_path.iterdir()] == ["run-kept"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(DataError, match=r"asked to work in .*; give another path"),
        held(tmp_path / "file" / "run"),
    ):
        pass
