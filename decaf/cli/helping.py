"""How the help of a command looks: what stands for a value, and in which group a command is."""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import ArgumentInfo, OptionInfo

_PLACEHOLDERS = {bool: "", int: "INTEGER", float: "NUMBER", Path: "PATH"}
_WIDEST = 16  # wider words would leave no room for what is said of them


class _Named:
    """A command whose help shows no value for options that take none."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the command's options and arguments, ``--help`` with them."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc] # of a class of typer
        for one in params:
            if getattr(one, "is_flag", False) and one.metavar is None:
                one.metavar = ""
            if one.param_type_name == "argument":  # its name says it; typer shows `<list[Path]>`
                one.display_type_rich = lambda ctx: None  # noqa: ARG005 - as typer calls it
        return params


class Command(_Named, TyperCommand):
    """One command."""


class Group(_Named, TyperGroup):
    """Commands that have a word in common."""


class App(typer.Typer):
    """A group of commands, in whose help each value has a placeholder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"cls": Group, **options})

    def command(self, name: str | None = None, **options: Any) -> Callable[..., Any]:
        """Return what adds a function as a command."""
        add = super().command(name, **{"cls": Command, **options})
        return lambda function: add(with_placeholders(function))

    def callback(self, **options: Any) -> Callable[..., Any]:
        """Return what adds a function as the command of the group itself."""
        add = super().callback(**options)
        return lambda function: add(with_placeholders(function))


def with_placeholders(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give each option without a placeholder the one of its type, each argument its name."""
    for one in signature(function, eval_str=True).parameters.values():
        hint, *notes = _parts(one.annotation)
        told = [one.default, *notes]
        for info in (x for x in told if isinstance(x, OptionInfo | ArgumentInfo)):
            if isinstance(info, ArgumentInfo):
                info.metavar = info.metavar or one.name.upper()
            elif info.metavar is None:
                _place(info, hint, one.name)
    return function


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Annotated else (annotation,)


def _place(info: OptionInfo, hint: Any, name: str) -> None:
    """Say what an option takes; many fixed words stand in its help, so that they may wrap."""
    (kind, *_) = [part for part in get_args(hint) or (hint,) if part is not NoneType]
    fixed = hint if get_origin(hint) is Literal else kind
    if get_origin(fixed) is Literal:
        words = get_args(fixed)
        info.metavar = "|".join(words)
        if len(info.metavar) > _WIDEST:
            info.metavar = "WORD"
            info.help = f"{info.help} One of: {', '.join(words)}."
    else:
        series = "omma-separated" in (info.help or "")
        text = "A,B,..." if series else name.rpartition("_")[2].upper()
        info.metavar = _PLACEHOLDERS.get(kind, text)
