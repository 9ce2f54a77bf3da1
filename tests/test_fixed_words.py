"""Every option of fixed words refuses another word before any work, in library and commands."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import typer
from flat import evaluate, extract, fields_of, finetune, flat, get_protocol, train
from typer.testing import CliRunner

import decaf
from decaf import choices, patch_scores
from decaf.backbones import load_backbone, wrap_module
from decaf.choices import choices_of
from decaf.cli.app import app
from decaf.errors import ConfigError
from decaf.heads import HEADS
from decaf.images.views import VIEWS
from decaf.insight.deconvnet import send_down
from decaf.onnx_model import export
from decaf.report.plots import plot_embedding
from decaf.types import PATCH_VIEWS

score_patches = flat(patch_scores.score_patches)
OF_RECORDS = [extract, evaluate, train, finetune, get_protocol]
FUNCTIONS = [*OF_RECORDS, decaf.predict, export, score_patches, plot_embedding, load_backbone,
             wrap_module, send_down]  # fmt: skip

OPEN = {"device", "heads", "head", "weights", "protocol", "units"}
"""Words that a registry or a pattern decides (``grid:N``, ``cuda:N``), and that others check."""


def words_of(function: Callable[..., object]) -> dict[str, tuple[str, ...]]:
    """Return the fixed words of a function's parameters, and of its records' fields."""
    function = inspect.unwrap(function)
    found = dict(choices_of(function))
    for name, one in fields_of(function).items():
        for part in (one.type, *get_args(one.type)):
            if get_origin(part) is Literal:
                found[name] = get_args(part)
    return found


OPTIONS = [(f, name) for f in FUNCTIONS for name in words_of(f)]


@pytest.mark.parametrize(
    ("function", "name"), OPTIONS, ids=[f"{f.__name__}-{name}" for f, name in OPTIONS]
)
@pytest.mark.parametrize("word", ["banana", "L2", "", "NONE"])
def test_a_word_that_is_none_of_the_choices(
    function: Callable[..., object], name: str, word: str
) -> None:
    required = {
        parameter.name: "nowhere"
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD
    }
    with pytest.raises(ConfigError) as error:
        function(**{**required, name: word})
    assert f"unknown {name} {word!r}" in str(error.value)
    assert all(choice in str(error.value) for choice in words_of(function)[name])


@pytest.mark.parametrize("pool", ["sum", "grid:0", "grid:N", "AVG", "grid:-1", ""])
def test_a_pool_that_is_none_is_refused_before_any_work(pool: str) -> None:
    for function in (extract, evaluate, train, finetune):
        with pytest.raises(ConfigError, match=f"unknown pooling '{pool}'; .*choose one of: none"):
            function("nowhere", pool=pool)
    with pytest.raises(ConfigError, match="unknown pooling"):
        decaf.DecafFeatures(weights="random", pool=pool).fit([])


def test_a_step_of_a_pipeline_refuses_unknown_words() -> None:
    for name in ("view", "precision"):
        with pytest.raises(ConfigError, match=f"unknown {name} 'banana'"):
            decaf.DecafFeatures(weights="random", **{name: "banana"}).fit([])


def test_every_function_with_a_fixed_word_is_checked() -> None:
    """No public function names choices for a plain str, and each with a Literal is `checked`."""
    for function in functions():
        hints = get_type_hints(inspect.unwrap(function), include_extras=True)
        if choices_of(function) and inspect.getmodule(function).__name__ in PUBLIC:
            assert hasattr(function, "__wrapped__"), function
        for name, words in documented(function):
            if hints.get(name) in (str, str | None) and name not in OPEN:
                pytest.fail(f"{function.__module__}.{function.__name__}: {name} takes {words}")


PUBLIC = {
    f"decaf.{name}"
    for name in ("extraction", "evaluation", "training", "prediction", "tuning", "onnx_model",
                 "patch_scores", "demo", "report.plots", "protocols", "backbones.loading")
}  # fmt: skip


def functions() -> Iterator[Callable[..., Any]]:
    for module in sorted(PUBLIC):
        for name, value in vars(importlib.import_module(module)).items():
            if inspect.isfunction(value) and value.__module__ == module and name[0] != "_":
                yield value


def documented(function: Callable[..., Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield parameters whose description is a list of words in code font."""
    text = inspect.cleandoc(function.__doc__ or "")
    for found in re.finditer(r"^(\w+) : str[^\n]*\n((?:    [^\n]*\n)+)", text, re.MULTILINE):
        words = re.findall(r"``([\w-]+)``", found[2].split(":")[0].split(";")[0])
        if len(words) > 1:
            yield found[1], words


def test_the_words_are_those_of_what_they_name() -> None:
    assert get_args(choices.ViewName) == (*VIEWS, *PATCH_VIEWS)
    assert set(get_args(choices.ImageView)) == set(VIEWS)
    assert "knn" in HEADS


def commands(
    group: Any = None, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


CHOSEN = [
    (path, command, parameter)
    for path, command in commands()
    for parameter in command.params
    if parameter.name in choices_of(command.callback)
]


@pytest.mark.parametrize(
    ("path", "command", "parameter"), CHOSEN, ids=[f"{'-'.join(p)}-{o.name}" for p, _, o in CHOSEN]
)
def test_a_command_refuses_an_unknown_word(
    path: tuple[str, ...], command: Any, parameter: Any, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    required = [
        word
        for other in command.params
        if other.required and other is not parameter
        for word in ([other.opts[0], "digits"] if other.opts[0][0] == "-" else ["nowhere"])
    ]
    done = CliRunner().invoke(app, [*path, *required, parameter.opts[0], "banana"])
    assert done.exit_code == 2
    said = " ".join(done.output.replace("│", " ").split())
    assert "'banana' is not one of" in said
    assert all(f"'{choice}'" in said for choice in choices_of(command.callback)[parameter.name])
    assert not list(tmp_path.iterdir())


def test_every_fixed_word_of_the_library_is_one_of_its_command() -> None:
    of_commands = {(path[-1], parameter.name) for path, _, parameter in CHOSEN}
    for function, command in (
        (extract, "extract"), (evaluate, "evaluate"), (train, "train"), (finetune, "finetune"),
        (decaf.predict, "predict"), (export, "export"), (score_patches, "scores"),
    ):  # fmt: skip
        for name in words_of(function):
            assert (command, name) in of_commands, (command, name)
