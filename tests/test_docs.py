"""The blocks of every page run; commands, options and names in the running text exist."""

import importlib
import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import Block, blocks_of, find, inline_commands, options, run
from PIL import Image
from quick import slow_unless
from sklearn.datasets import load_digits
from typer import BadParameter

import decaf
from decaf.backbones import families
from decaf.backbones.families import define
from decaf.datasets import ADAPTERS
from decaf.heads import HEADS
from decaf.protocols import PROTOCOLS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
PAGES += sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "adr")
REFUSED = (BadParameter.__base__, LookupError, TypeError, AttributeError, ImportError)
"""What a name that does not exist ends in; the first is the error of wrong usage."""

PLACES = re.compile(r"`((?:decaf|docs|pipelines|benchmarks|tests|examples)/[\w./-]*)`")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a reader has: `my_images`, a folder of class folders, and `new_images` without."""
    digits = load_digits()
    for digit in range(3):
        of_digit = digits.images[digits.target == digit][:12]
        for number, pixels in enumerate(of_digit):
            folder = tmp_path / ("new_images" if number > 9 else f"my_images/{'abc'[digit]}")
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray((pixels * 15.9).astype("uint8")).resize((40, 40))
            image.convert("RGB").save(folder / f"{digit}-{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def is_quick(page: Path) -> bool:
    return page.stem not in ("new-protocol", "predict-and-serve", "two-runs", "which-net")


@pytest.mark.parametrize(
    "page", slow_unless(is_quick, PAGES), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_blocks_of_a_page_run(page: Path, own_folder: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        run(block, names)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("sh", "decaf extract --dataset x --no-such-option"),
        ("sh", "decaf extract --dataset x --dtype float15"),
        ("sh", "decaf no-such-command"),
        ("python", "decaf.extract('x', no_such_argument=1)"),
        ("python", "decaf.no_such_name()"),
        ("python", "from decaf import NoSuchName"),
    ],
)
def test_a_block_that_is_not_run_is_checked(language: str, code: str) -> None:
    with pytest.raises(REFUSED):
        run(Block("page", 1, language, "needs a network", f"{code}\n"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    known = options()
    for code in inline_commands(text):
        words = code.split()
        if words[0] == "decaf":
            find([word for word in words[1:] if word.islower()])
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", code):
            assert option in known, f"{page.name}: {option} in {code}"
    for name in re.findall(r"`(decaf(?:\.\w+)+)(?:\(\))?`", text):
        if not name.endswith((".csv", ".py")):
            resolve(name)
    for path in PLACES.findall(text):
        pattern = f"{path.rstrip('/')}*".replace("NAME", "*")
        assert list(ROOT.glob(pattern)), f"{page.name}: {path}"


def resolve(name: str) -> Any:
    """Return what a dotted name stands for."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AssertionError(name)


def test_targets_links_and_extras_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    install = (ROOT / "docs" / "start" / "install.md").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*re.findall(r"`([a-z]+)`(?:,| \|)", install)} >= {*project["optional-dependencies"]}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE):
            assert f"\n{target}:" in makefile, f"{page.name}: make {target}"
        if page.parent == ROOT:  # MkDocs looks at the links of the others
            for link in re.findall(r"\]\((?!http)([^)#]+)\)", text):
                assert (ROOT / link).exists(), f"{page.name}: {link}"


def test_nets_protocols_and_data_sets_that_are_named_exist() -> None:
    protocols = {name for rules in PROTOCOLS.values() for name in rules}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for nets in re.findall(r"--backbone ([\w,-]+)(?![\w:/])", text):
            for net in nets.split(","):
                define(net)
        for name in re.findall(r"--protocol ([a-z][\w-]+)", text):
            assert name in protocols, f"{page.name}: {name}"
        for name in re.findall(r"decaf datasets (?:get|check) ([a-z][\w-]+)", text):
            assert name in ADAPTERS, f"{page.name}: {name}"
    which = (ROOT / "docs" / "guides" / "which-net.md").read_text(encoding="utf-8")
    for row in re.findall(r"^\| .*? \| (.*) \|$", which.split("## Layer")[0], re.MULTILINE):
        for net in re.findall(r"`([a-z]\w+|decaf-mini)`", row):
            define(net)


def test_what_the_recipes_make_takes_part(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: dict[str, Any] = {}
    for block in blocks_of(ROOT / "CONTRIBUTING.md"):
        run(block, names)
    nets, letters = importlib.import_module("tiny_nets"), importlib.import_module("letters")
    monkeypatch.setattr(families, "_LISTED", (nets,))
    monkeypatch.setitem(ADAPTERS, "letters", letters)
    monkeypatch.setitem(HEADS, "nearest-mean", names["NearestMean"])
    table = decaf.evaluate(
        "letters",
        decaf.Net("tiny", layers="pool5"),
        heads="nearest-mean",
        source=decaf.Source(data_root="."),
        compute=decaf.Compute(quiet=True),
    ).to_frame()
    assert list(table["backbone"]) == ["tiny"]
    assert table["mean"].min() > 0.6


LONG = ("compare_nets", "learning_curve")
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize(
    "example", slow_unless(lambda path: path.stem not in LONG, EXAMPLES), ids=lambda path: path.stem
)
def test_an_example_runs(
    example: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    runpy.run_path(str(example))
    assert capsys.readouterr().out
