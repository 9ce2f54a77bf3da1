"""The code blocks of Markdown files, and how they are run and checked.

A block runs as it stands: of `sh` the commands of decaf, line by line, of `python` all of a page's
in one namespace. Two titles, which readers see, say otherwise: ``title="name.py"`` makes the block
a file of that name, and ``title="needs ..."`` says what is not here (a network, a GPU); of such a
block it is checked that every command, option, name and argument exists.
"""

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer
from typer.testing import CliRunner

import decaf
from decaf.cli.app import app

LANGUAGES = {"sh", "python", "text", "csv", "json"}
_FENCE = re.compile(
    r'^( *)```([\w-]*)(?: title="([^"]*)")?\n(.*?)^ *```$', re.DOTALL | re.MULTILINE
)
_ROOT: Any = typer.main.get_command(app)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    title: str
    code: str

    @property
    def is_file(self) -> bool:
        return bool(re.fullmatch(r"[\w./-]+\.\w+", self.title))

    def lines(self) -> Iterator[str]:
        """Yield the commands, without comments, joined where they go on."""
        for line in self.code.replace("\\\n", " ").splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                yield line.strip()


def blocks_of(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        indent, language, title, code = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        code = re.sub(rf"^{indent}", "", code, flags=re.MULTILINE)
        found.append(Block(path.name, line, language, title or "", code))
    assert 2 * len(found) == len(re.findall(r"^ *```", text, re.MULTILINE)), f"fences of {path}"
    bare = re.search(r"^ {4,}decaf .*", re.sub(_FENCE, "", text), re.MULTILINE)
    assert not bare, f"{path.name}: {bare and bare[0].strip()!r} stands outside of a ```sh block"
    return found


def run(block: Block, names: dict[str, Any]) -> None:
    """Run a block in the working folder, or check it, or write it as a file."""
    assert block.language in LANGUAGES, block
    if block.is_file:
        Path(block.title).parent.mkdir(parents=True, exist_ok=True)
        Path(block.title).write_text(block.code, encoding="utf-8")
    if block.title.startswith("needs ") or block.title.endswith(".sh"):
        check(block)
    elif block.language == "python" and not block.is_file:
        padding = "\n" * block.line  # so that errors name the page's line
        exec(compile(padding + block.code, block.page, "exec"), names)
    elif block.language == "sh":
        for line in block.lines():
            run_command(line, block)


def run_command(line: str, block: Block) -> None:
    words = small(shlex.split(re.sub(r"^(?:[A-Z]+=\S+ )+", "", line)))
    assert words[0] == "decaf", f"{block.page}, line {block.line}: {line} is no command of decaf"
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, (block.page, line, done.output, done.exception)


FEW = {"--splits": "2", "--c-grid": "1", "--layers": "fc7"}
"""What makes a command of the pages quick, where it takes such options and does not give them."""


def small(words: list[str]) -> list[str]:
    """Return a command with files in the place of patterns, and with the net of the tests."""
    found = [
        name
        for word in words
        for name in (map(str, sorted(Path().glob(word))) if "*" in word else [word])
    ]
    command, _ = find(words[1:])
    takes = {option for one in command.params for option in one.opts} - set(found)
    if "--splits-file" in found:
        takes -= {"--splits"}
    if "--dataset" not in found or "--space" in found:
        takes -= {"--layers"}
    found += [word for option in FEW if option in takes for word in (option, FEW[option])]
    if "--backbone" in takes:
        return [*found, "--backbone", "decaf-mini"]
    for place, (option, net) in enumerate(pairwise(found), 1):
        if option == "--backbone" and ":" not in net:
            found[place] = "decaf-mini"
    return found


def find(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words begin with, and the words that follow."""
    command = _ROOT
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def check(block: Block) -> None:
    """Check that what a block calls exists."""
    if block.language == "python":
        check_names(ast.parse(block.code), block)
    for line in block.lines() if block.language == "sh" else ():
        words = shlex.split(line)
        if "decaf" in words[:2]:
            command, rest = find(words[words.index("decaf") + 1 :])
            with (
                patch("decaf.datasets.adapters.require_known"),  # the data set is not here
                suppress(typer.Exit),  # of --version
            ):
                command.make_context("decaf", rest)


def check_names(tree: ast.AST, block: Block) -> None:
    """Check the names that are taken from decaf, and the arguments of what is called by them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("decaf"):
            scope: dict[str, Any] = {}
            exec(ast.unparse(node), scope)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if isinstance(owner, ast.Name) and owner.id == "decaf":
                keywords = dict.fromkeys(one.arg for one in node.keywords)
                inspect.signature(getattr(decaf, node.func.attr)).bind_partial(
                    *node.args, **keywords
                )


def inline_commands(text: str) -> Iterator[str]:
    """Yield commands of decaf, and options, that stand in the running text."""
    for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", re.sub(_FENCE, "", text)):
        if code.startswith(("decaf ", "--")):
            yield code


def options() -> set[str]:
    """Return every option of every command."""

    def walk(command: Any) -> Iterator[str]:
        for parameter in command.params:
            yield from (*parameter.opts, *parameter.secondary_opts)
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    return {*walk(_ROOT), "--help", "--version"}
