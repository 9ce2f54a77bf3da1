"""The functions that others call are few in number and in arguments."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import decaf

MOST = 8
"""Parameters of a function. A class's `__init__` does not count: scikit-learn reads the parameters
of its estimators from there, one by one."""


def public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, int]]:
    """Yield public functions and methods, and the number of their parameters."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{prefix}.{node.name}")
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            given += filter(None, [node.args.vararg, node.args.kwarg])
            n_own = sum(one.arg in {"self", "cls"} for one in given[:1])
            yield f"{prefix}.{node.name}", len(given) - n_own


def test_public_functions_have_at_most_eight_parameters() -> None:
    home = Path(decaf.__file__).parent
    found = {
        name: number
        for file in sorted(home.rglob("*.py"))
        for name, number in public(
            ast.parse(file.read_text(encoding="utf-8")).body,
            ".".join(("decaf", *file.relative_to(home).with_suffix("").parts)),
        )
    }
    assert len(found) > 300
    assert not {name: number for name, number in found.items() if number > MOST}


def test_the_functions_of_the_package_have_at_most_eight_parameters() -> None:
    functions = [getattr(decaf, name) for name in decaf.__all__]
    found = [one for one in functions if inspect.isfunction(one)]
    assert {one.__name__ for one in found} >= {"extract", "evaluate", "train", "predict"}
    for one in found:
        assert len(inspect.signature(one).parameters) <= MOST, one
