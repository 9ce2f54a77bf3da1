"""The help of every command: placeholders of a kind, groups, and nothing cut or left to guess."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from decaf.cli.app import app


def names(group: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield before
    for name, command in getattr(group, "commands", {}).items():
        yield from names(command, (*before, name))


EVERY = list(names(typer.main.get_command(app)))


def help_of(*command: str, columns: int = 80) -> str:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", EVERY, ids=" ".join)
def test_it_shows_placeholders_and_cuts_nothing(command: tuple[str, ...], columns: int) -> None:
    text = help_of(*command, columns=columns)
    for foreign in (r"<(bool|int|str|float|path|list)", r"\bBOOLEAN\b", "…"):
        assert not re.search(foreign, text), text
    assert max(map(len, text.splitlines())) <= columns
    assert re.search(r"--help +-h +Show", text)  # a switch takes no value


def test_what_is_worked_on_comes_first_and_groups_are_named_in_words() -> None:
    text = help_of("evaluate")
    places = [
        text.index(one)
        for one in ("--dataset", "--heads", "The net and what is taken of it", "--backbone",
                    "What replaces a protocol's fields", "Which images", "Where and how it runs")
    ]  # fmt: skip
    assert places == sorted(places)
    assert re.search(r"--splits +INTEGER", text)
    assert re.search(r"--view +WORD", text)
    assert "One of:" in text  # many words stand where they may wrap
    outer = help_of()
    for said in ("From images to results", "doctor", "--install-completion", "decaf demo"):
        assert said in outer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evaluate", "--dataset", "digits", "--normalize", "standart"], "'standard'?"),
        (["report", "x.csv", "--format", "htm"], "'html'?"),
        (["evaluat"], "'evaluate'?"),
    ],
)
def test_the_nearest_word_is_named(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert f"Did you mean {said}" in done.output
