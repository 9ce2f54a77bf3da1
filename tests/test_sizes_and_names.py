"""No file or function of decaf is long, and no two modules or classes share a name."""

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

DECAF = Path(__file__).parents[1] / "decaf"
MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 50
TWINS = {"__init__", "compare"}
"""What each package has, and commands that bear the name of the module that does their work."""


def named(folder: Path) -> Counter[str]:
    """Count the modules and the classes of each name."""
    names = Counter(path.stem for path in folder.rglob("*.py"))
    for tree in trees(folder).values():
        names.update(node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return names


def trees(folder: Path) -> dict[Path, ast.Module]:
    return {path: parsed(path) for path in sorted(folder.rglob("*.py"))}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def twice(folder: Path) -> set[str]:
    return {name for name, n in named(folder).items() if n > 1} - TWINS


def long(folder: Path) -> Iterator[str]:
    """Yield files and functions that have too many lines; docstrings of functions do not count."""
    for path, tree in trees(folder).items():
        name = path.relative_to(folder).as_posix()
        if len(path.read_text(encoding="utf-8").splitlines()) > MOST_LINES_OF_A_FILE:
            yield name
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node) is not None
                said = node.body[0].end_lineno - node.body[0].lineno + 1 if documented else 0
                if node.end_lineno - node.lineno + 1 - said > MOST_LINES_OF_A_FUNCTION:
                    yield f"{name}::{node.name}"


def test_no_two_modules_or_classes_share_a_name() -> None:
    assert not twice(DECAF)


def test_no_file_and_no_function_is_long() -> None:
    assert not set(long(DECAF))


@pytest.mark.parametrize(
    ("text", "names", "longer"),
    [
        ("class A: ...\n", set(), set()),
        ("class B: ...\n", {"B"}, set()),
        ("x = 1\n" * 401, set(), {"new.py"}),
        ("def f():\n" + "    x = 1\n" * 50, set(), {"new.py::f"}),
        ('def f():\n    """A.\n' + "    a\n" * 60 + '    """\n' + "    x = 1\n" * 49, set(), set()),
    ],
)
def test_a_new_one_is_found(text: str, names: set[str], longer: set[str], tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class B: ...\n")
    (tmp_path / "new.py").write_text(text)
    assert twice(tmp_path) == names
    assert set(long(tmp_path)) == longer
