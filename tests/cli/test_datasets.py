"""`decaf datasets`, and what every command says where images are missing."""

import sys
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from decaf.cli.app import app, main
from decaf.datasets import ADAPTERS, Archive, DatasetInfo, caltech101, mit67

NAMES = [name for name in ADAPTERS if name != "digits"]


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["decaf", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out, err = capsys.readouterr()
    return int(end.value.code or 0), out, err


@pytest.mark.parametrize("arguments", [(), ("list",)])
def test_all_data_sets_are_listed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / mit67.INFO.tree).mkdir(parents=True)
    result = CliRunner().invoke(app, ["datasets", *arguments, "--data-root", str(tmp_path)])
    lines = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert list(lines) == list(ADAPTERS)
    assert "present" in lines["mit67"]
    assert "absent   108754 images, 397 classes, 39.1 GB" in lines["sun397"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", ["evaluate", "check"])
def test_missing_images_end_in_one_message(
    name: str,
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(caltech101, "fetch", lambda _info, _root: None)  # as without a network
    monkeypatch.chdir(tmp_path)
    asked = ["datasets", "check", name] if command == "check" else ["evaluate", "--dataset", name]
    code, out, err = run(monkeypatch, capsys, *asked)
    assert code == 1
    assert out == ""
    (line,) = err.splitlines()
    info = ADAPTERS[name].INFO
    assert line.startswith(f"decaf: data set {name} is not here")
    for said in (f"data/{info.tree}", info.home, f"decaf datasets get {name}"):
        assert said in line
    assert all(archive.file in line for archive in info.archives)


def test_get_takes_an_archive_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = DatasetInfo("pets", "pets/images", 1, 2, "CC0", "here", (Archive("pets.zip", ()),))
    monkeypatch.setitem(ADAPTERS, "pets", type("Pets", (), {"INFO": info}))
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as packed:
        packed.writestr("images/cat/1.jpg", "meow")
    arguments = ["--from", str(tmp_path / "mine.zip"), "--data-root", str(tmp_path / "data")]
    code, out, _ = run(monkeypatch, capsys, "datasets", "get", "pets", *arguments)
    assert code == 0
    assert out.strip() == str(tmp_path / "data" / "pets" / "images")
    assert (tmp_path / "data" / "pets" / "images" / "cat" / "1.jpg").read_text() == "meow"


def test_digits_are_written_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--data-root", str(tmp_path)]
    assert run(monkeypatch, capsys, "datasets", "get", "digits", *root)[0] == 0
    code, out, _ = run(monkeypatch, capsys, "datasets", "check", "digits", *root)
    assert code == 0
    assert "is complete: 1797 images" in out
    (tmp_path / "digits" / "0" / "0000.png").unlink()
    code, _, err = run(monkeypatch, capsys, "datasets", "check", "digits", *root)
    assert code == 1
    assert "first 0000.png" in err


def test_an_unknown_name_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("get", "check"):
        code, _, err = run(monkeypatch, capsys, "datasets", command, "pets")
        assert code == 2
        assert "unknown data set 'pets'; choose one of: caltech101" in err
