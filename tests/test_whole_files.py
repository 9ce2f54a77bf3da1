"""Every file that decaf writes is whole or not there, and what a kill leaves is removed."""

import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from decaf.errors import ConfigError, DataError
from decaf.whole_files import (
    require_output,
    require_writable,
    sweep,
    whole_file,
    whole_folder,
    write_whole,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_a_failure_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    with suppress(ZeroDivisionError), whole_file(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_mode_is_that_of_any_new_file(tmp_path):
    (tmp_path / "ordinary").touch()
    with whole_file(tmp_path / "a") as part:
        part.unlink()
        part.touch(0o600)  # as libraries do that write and rename by themselves
    mode = (tmp_path / "a").stat().st_mode
    assert stat.S_IMODE(mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_what_a_kill_leaves_is_removed_by_the_next_write(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from decaf.whole_files import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    write_whole(tmp_path / "b", "whole")
    assert names(tmp_path) == ["b"]


def test_what_another_process_is_writing_is_not_removed(tmp_path):
    with whole_file(tmp_path / "a") as part:
        code = (
            "import sys; from pathlib import Path; from decaf.whole_files import write_whole\n"
            "write_whole(Path(sys.argv[1]), 'theirs')"
        )
        subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=True)
        part.write_text("ours")
    assert (tmp_path / "a").read_text() == "ours"


@pytest.mark.parametrize("name", ["/proc/none/r.csv", "/dev/null", "x" * 300, "a\0b"])
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, name):
    with pytest.raises(DataError, match=r"asked to write .*; (give|correct)"):
        require_writable(tmp_path / name)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="a folder or device"):
        require_writable(tmp_path)


def test_asking_leaves_nothing(tmp_path):
    require_writable(tmp_path / "a.csv", tmp_path / "b.csv")
    assert not names(tmp_path)


def test_the_file_that_a_link_leads_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    Path(tmp_path / "link").symlink_to(tmp_path / "far" / "a")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "far" / "a").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_a_folder_is_whole_or_not_there(tmp_path):
    with suppress(ZeroDivisionError), whole_folder(tmp_path / "a" / "b") as part:
        (part / "1").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path / "a") == []
    with whole_folder(tmp_path / "a" / "b") as part:
        (part / "1").write_text("whole")
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "1").read_text() == "whole"
    assert names(tmp_path / "a") == ["b"]
    with pytest.raises(DataError, match="not empty"), whole_folder(tmp_path / "a" / "b"):
        pass
    assert (tmp_path / "a" / "b" / "1").read_text() == "whole"


def test_long_work_is_not_swept_while_it_goes_on(tmp_path):
    with whole_folder(tmp_path / "a") as part:
        os.utime(part.parent, (0, 0))
        assert not sweep(tmp_path)
        (part / "1").touch()
    assert names(tmp_path / "a") == ["1"]
    (tmp_path / ".decaf-killed.part").mkdir()
    assert sweep(tmp_path)
    assert names(tmp_path) == ["a"]


def test_an_output_is_never_an_input(tmp_path):
    model, link = tmp_path / "m.csv", tmp_path / "link.csv"
    write_whole(model, "precious")
    link.symlink_to(model)
    for out in (model, link):
        with pytest.raises(ConfigError, match="read as well; give another name"):
            require_output(out, ".csv", inputs=["random", tmp_path / "none", "a\0b", model])
    for out in (tmp_path / "m", tmp_path / ".csv", tmp_path / "m.png"):
        with pytest.raises(ConfigError, match=r"ends in \.csv or \.txt"):
            require_output(out, ".csv", ".txt")
    require_output(tmp_path / "other.csv", ".csv", inputs=[model])
    assert model.read_text() == "precious"


def test_writers_of_one_folder_leave_each_others_files_alone(tmp_path: Path) -> None:
    """Each sweeps the folder before it writes, at the moment when another makes its own."""

    def write(number: int) -> None:
        for again in range(40):
            write_whole(tmp_path / f"{number}-{again}", "here")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    assert len([path for path in tmp_path.iterdir() if path.read_text() == "here"]) == 320
