"""README's and CONTRIBUTING's examples run as they stand, on a small folder and a small net."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import decaf
from decaf.backbones.families import define
from decaf.cli.app import app
from decaf.datasets import ADAPTERS, caltech101
from decaf.heads import HEADS
from decaf.protocols import PROTOCOLS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def test_the_python_of_the_readme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks(README, "python")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "(5, 1024)" in printed
    assert "fc7" in printed


def test_the_readmes_commands_run(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(caltech101, "fetch", lambda _info, _root: None)  # as without a network
    image_folder.rename("my_images")
    Path("new_images").symlink_to(Path("my_images") / "red")
    for line in "".join(blocks(README, "sh")).splitlines():
        words = shlex.split(line.replace("--backbone alexnet", ""))[1:]
        if words[0] in {"extract", "evaluate", "train"}:
            words += ["--backbone", "decaf-mini"]
        words = [
            found
            for word in words
            for found in (map(str, sorted(Path().glob(word))) if "*" in word else [word])
        ]
        done = CliRunner().invoke(app, words)
        if "caltech101" in words:
            assert "data set caltech101 is not here" in str(done.exception)
        else:
            assert done.exit_code == 0, (line, done.output, done.exception)
    for made in ("report.html", "model.safetensors", "predictions.csv"):
        assert Path(made).is_file()


def test_the_commands_and_scripts_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert f"\n{target}:" in makefile
    for script in re.findall(r"((?:pipelines|benchmarks)/\w+\.py)", README + CONTRIBUTING):
        assert (ROOT / script).is_file(), script
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README + CONTRIBUTING):
        assert (ROOT / link).exists(), link
    commands = typer.main.get_command(app).commands
    for name in re.findall(r"`decaf ([a-z]+)", README):
        assert name in commands, name


def test_the_names_that_are_named_exist() -> None:
    (nets,) = re.findall(r"choose a net \| (.*)", README)
    listed = re.findall(r"`([\w-]+)`", nets.split("a net of your own")[0])
    assert len(listed) > 2
    for net in listed:
        define(net)
    (protocols,) = re.findall(r"follow a paper \| `--protocol (.*)", README)
    known = {name for rules in PROTOCOLS.values() for name in rules}
    for name in re.findall(r"([a-z-]+)`", protocols):
        assert name in known, name
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (extras,) = re.findall(r"Extras.*?: (`timm`.*?)\n\n", README, re.DOTALL)
    for name in re.findall(r"`(\w+)`", extras):
        assert name in {*project["optional-dependencies"], "decaf"}, name
    for name in re.findall(r"`decaf\.(\w+)`", README):
        assert name in decaf.__all__, name
    for name in re.findall(r"decaf datasets (?:get|check) ([a-z]\w+)", README):
        assert name in ADAPTERS


def test_a_head_by_the_recipe_takes_part(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code,) = blocks(CONTRIBUTING, "python")
    names: dict[str, type] = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(HEADS, "nearest-mean", names["NearestMean"])
    net, compute = decaf.Net("decaf-mini", layers="fc6"), decaf.Compute(quiet=True)
    table = decaf.evaluate(image_folder, net, heads="nearest-mean", compute=compute)
    assert table.to_frame()["mean"].min() > 0.6
