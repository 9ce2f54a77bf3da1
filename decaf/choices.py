"""Refusing words that an option does not know, in one way."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from inspect import signature
from typing import Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from decaf.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")


def check_choice(what: str, asked: object, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of the choices.

    Parameters
    ----------
    what : str
        The option's name.
    asked : object
        What was given.
    choices : sequence of str
        What may be.

    Raises
    ------
    ConfigError
        If it is none of them; the message names the nearest, and all.
    """
    if asked in choices:
        return
    near = difflib.get_close_matches(str(asked).lower(), choices, 1, 0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ConfigError(f"unknown {what} {asked!r}; {hint}choose one of: {', '.join(choices)}")


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function refuse words that the `Literal` of a parameter does not name.

    Parameters
    ----------
    function : callable
        Annotated with ``Literal[...]`` or ``Literal[...] | None``, by name or in place.

    Returns
    -------
    callable
        The same, which raises `ConfigError` before it does anything.
    """
    bind = signature(function).bind

    @wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> T:
        given = bind(*args, **kwargs).arguments
        for name, choices in choices_of(function).items():
            if given.get(name) is not None:
                check_choice(name, given[name], choices)
        return function(*args, **kwargs)

    return with_checks


@cache
def choices_of(function: Callable[..., Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the words that each parameter with a `Literal` takes."""
    found = {}
    for name, hint in get_type_hints(function).items():
        for part in (hint, *get_args(hint)):
            if name != "return" and get_origin(part) is Literal:
                found[name] = get_args(part)
    return found
