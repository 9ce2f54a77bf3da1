"""Every error that reaches the command line ends in one message; outputs are checked first."""

import errno
import os
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from decaf.cli import border
from decaf.cli.app import app, main
from decaf.errors import DecafError

DECAF = [sys.executable, "-m", "decaf"]


def decaf(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DECAF, *arguments], cwd=cwd, capture_output=True, text=True, check=False,
        env={**os.environ, **(env or {})},
    )  # fmt: skip


ERRORS = [
    (PermissionError(errno.EACCES, "Permission denied", "a/b"), "asked for a/b, found: Permission"),
    (OSError(errno.ELOOP, "Too many levels of symbolic links", "l"), "Too many levels"),
    (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "File name too long"),
    (OSError(errno.EIO, "Input/output error"), "found: Input/output error"),
    (OSError("Unable to synchronously open file"), "Unable to synchronously open file"),
    (MemoryError(), "the memory does not suffice"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "not UTF-8"),
    ("caf\udce9.jpg", "not UTF-8"),
    (ValueError("embedded null byte"), "zero byte"),
    (EOFError("Compressed file ended before the end-of-stream marker"), "damaged file"),
    (zipfile.BadZipFile("File is not a zip file"), "damaged file"),
    (tarfile.ReadError("unexpected end of data"), "damaged file"),
    (zlib.error("Error -3"), "damaged file"),
    (RuntimeError("odd"), "an error that decaf does not know, RuntimeError: odd"),
    (RecursionError("maximum recursion depth exceeded"), "RecursionError"),
    (AssertionError(), "AssertionError"),
]


@pytest.mark.parametrize(("error", "said"), ERRORS, ids=[str(i) for i in range(len(ERRORS))])
def test_an_error_of_a_library_is_one_line(
    error: Exception | str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands = typer.Typer(cls=border.Border, pretty_exceptions_enable=False)

    @commands.command()
    def one() -> None:
        if isinstance(error, str):
            error.encode("utf-8")
        raise error

    commands.command()(lambda: None)
    monkeypatch.setattr(sys, "argv", ["decaf", "one"])
    with pytest.raises(SystemExit) as end:
        border.run(commands)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("decaf: ")
    assert said in line


def test_the_environment_shows_where_an_error_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(border.TRACEBACK, "1")
    monkeypatch.setattr(sys, "argv", ["decaf", "extract", "--dataset", "nowhere"])
    with pytest.raises(DecafError):
        main()


def test_ctrl_c_ends_with_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = typer.Typer(cls=border.Border, pretty_exceptions_enable=False)

    @commands.command()
    def one() -> None:
        raise KeyboardInterrupt

    commands.command()(lambda: None)
    monkeypatch.setattr(sys, "argv", ["decaf", "one"])
    with pytest.raises(SystemExit) as end:
        border.run(commands)
    assert end.value.code == 130
    assert "run the same command again" in capsys.readouterr().err


def test_a_message_cannot_command_the_terminal(tmp_path: Path) -> None:
    done = decaf("extract", "--dataset", "\x1b[2J\nx", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "\x1b" not in line
    assert r"\x1b[2J\nx" in line


def test_a_wrong_word_is_told_in_plain_words(tmp_path: Path) -> None:
    for command, option in (("search a.h5 b", "--metric"), ("index measure a.h5", "--queries")):
        done = decaf(*command.split(), option, "foo", cwd=tmp_path)
        assert done.returncode == 2
        told = " ".join(done.stderr.replace("│", " ").split())
        assert f"Invalid value for '{option}': 'foo' is not one of" in told


def test_decaf_runs_as_a_module_and_helps_in_short(tmp_path: Path) -> None:
    for arguments in (["-h"], ["extract", "-h"], ["plot", "curve", "-h"], ["datasets", "-h"]):
        done = decaf(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "Usage: " in done.stdout


@pytest.mark.parametrize("command", ["extract", "evaluate", "train", "finetune"])
def test_an_unknown_data_set_is_refused_before_torch(command: str, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom decaf.cli.app import main\n"
        f"sys.argv = ['decaf', {command!r}, '--dataset', 'nowhere']\n"
        "try: main()\n"
        "except SystemExit as end:\n"
        "    assert end.code == 2, end.code\n"
        "    heavy = {'torch', 'sklearn', 'pandas', 'h5py'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "unknown data set 'nowhere'" in done.stderr


MINI = ["--backbone", "decaf-mini", "--device", "cpu"]
UNKNOWN = [
    ["extract", "--backbone", "nonet"],
    ["extract", *MINI, "--layers", "fc99"],
    ["extract", *MINI, "--weights", "nobody"],
    ["extract", *MINI, "--pool", "sum"],
    ["extract", *MINI, "--device", "tpu"],
    ["evaluate", *MINI, "--heads", "forest"],
    ["evaluate", *MINI, "--protocol", "nobody"],
    ["evaluate", *MINI, "--drop-classes", "unicorn"],
    ["evaluate", *MINI, "--layers", "fc99"],
    ["train", *MINI, "--head", "forest"],
    ["train", *MINI, "--layers", "fc99"],
    ["finetune", *MINI, "--recipe", "blocks=some"],
    ["finetune", *MINI, "--recipe", "nothing=1"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", UNKNOWN, ids=[" ".join(a) for a in UNKNOWN])
def test_an_unknown_name_is_wrong_usage(
    arguments: list[str],
    image_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command, *options = arguments
    code, out, err = run(
        monkeypatch, capsys, command, "--dataset", str(image_folder), "--quiet", *options
    )
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert arguments[-1].split("=")[0] in line


def test_names_of_other_commands(
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ["layers", "nonet"],
        ["models", "get", "nonet"],
        ["datasets", "get", "nowhere"],
        ["plot", "tsne", str(store), "--layer", "fc99", "--out", "f.png"],
        ["visualize", "top-images", str(store), "--layer", "fc99", "--out", "f.png"],
        ["inspect", str(store), "--layers", "fc99", "--quiet"],
    ):
        code, _, err = run(monkeypatch, capsys, *arguments)
        assert code == 2, (arguments, err)
        assert len(err.splitlines()) == 1


@pytest.fixture
def store(image_folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "store.h5"
    arguments = ["extract", "--dataset", str(image_folder), *MINI, "--layers", "fc6", "--quiet"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out


OUTPUTS: list[tuple[list[str], str]] = [
    (["report", "none.csv"], "page.html"),
    (["plot", "curve", "none.csv"], "f.png"),
    (["plot", "layers", "none.csv"], "f.png"),
    (["plot", "classes", "none.csv"], "f.png"),
    (["plot", "confusion", "none.csv"], "f.png"),
    (["plot", "tsne", "none.h5"], "f.png"),
    (["plot", "umap", "none.h5"], "f.png"),
    (["visualize", "top-images", "none.h5", "--layer", "fc6"], "f.png"),
    (["visualize", "scores", "none.safetensors", "none.jpg"], "figures"),
    (["inspect", "none.h5"], "folder"),
    (["predict", "none.safetensors", "none.jpg"], "p.csv"),
    (["store", "join", "none.h5"], "s.h5"),
]


@pytest.mark.parametrize(("arguments", "name"), OUTPUTS, ids=[" ".join(a) for a, _ in OUTPUTS])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_read(
    arguments: list[str],
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "none.jpg").write_bytes(b"x")
    (tmp_path / "file").write_text("no folder")
    code, out, err = run(monkeypatch, capsys, *arguments, "--out", str(tmp_path / "file" / name))
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert f"asked to write {tmp_path}/file" in line
    assert "Not a directory" in line or "File exists" in line


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["decaf", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


def test_a_result_is_whole_for_a_program_and_visible_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    border.say("a\x1b[2J\nb")
    assert capfd.readouterr().out == "a\x1b[2J\nb\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    border.say("a\x1b[2J\nb")
    assert capfd.readouterr().out == "a\\x1b[2J\nb\n"
