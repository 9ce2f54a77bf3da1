"""A command's options from the records in its signature."""

import re
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, get_annotations, signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from decaf.process import limit_threads
from decaf.records import Record, is_record


def with_records(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes an option for each field of its function's records.

    Parameters
    ----------
    function : callable
        Its parameters are annotated with records, or with `typer.Option` and `typer.Argument`,
        or with a dataclass of these. A field that two records have is one option, which goes to
        both.

    Returns
    -------
    callable
        For ``app.command()``; makes the records, and calls the function.
    """
    own = signature(function, eval_str=True).parameters.values()
    plain = [one for one in own if not is_dataclass(one.annotation)]
    records = {one.name: one.annotation for one in own if is_dataclass(one.annotation)}
    options: dict[str, Parameter] = {}
    for kind in records.values():
        for name, one in _options(kind).items():
            options.pop(name, None)  # the last of two records says where it stands
            options[name] = one

    @wraps(function)
    def command(**given: Any) -> None:
        made = {name: _made(kind, given) for name, kind in records.items()}
        if given.get("workers"):
            limit_threads(given["workers"])
        function(**{one.name: given[one.name] for one in plain}, **made)

    first = [one for one in options.values() if one.name in _data(records.values())]
    together = list(dict.fromkeys([*first, *plain, *options.values()]))
    order = sorted(together, key=lambda one: one.kind)
    command.__signature__ = signature(function).replace(parameters=order)  # type: ignore[attr-defined] # typer reads it
    command.__annotations__ = {one.name: one.annotation for one in order}
    return command


def _data(kinds: Iterable[Any]) -> set[str]:
    """Return the fields that say what is worked on: they come before everything else."""
    return {one.name for kind in kinds if not is_record(kind) for one in fields(kind)}


def _made(kind: Any, given: dict[str, Any]) -> Any:
    inner = {n: _made(hint, given) for n, hint in get_type_hints(kind).items() if is_record(hint)}
    return kind(**{one.name: (given | inner)[one.name] for one in fields(kind)})


def declared(kind: type[Record], name: str, unless: str = "") -> Any:
    """Return the option of the command line that a field of a record declares.

    Parameters
    ----------
    kind : type
        A record.
    name : str
        A field.
    unless : str
        What holds for a command where it is not given.
    """
    (one,) = [field for field in fields(kind) if field.name == name]  # type: ignore[arg-type] # every record is a dataclass
    flag = [f"--{name.replace('_', '-')}"] if isinstance(one.default, bool) else []
    return typer.Option(
        *flag,
        help=" ".join(filter(None, (one.metadata["about"], unless))),
        metavar=one.metadata["metavar"],
        rich_help_panel=_panel(kind),
        show_default=one.default not in (None, ""),
    )


def _panel(kind: type[Record]) -> str:
    """Return what stands above a record's options: the beginning of its first sentence."""
    return re.split("[:;.]", kind.__doc__ or kind.__name__, maxsplit=1)[0]


def _options(kind: Any) -> dict[str, Parameter]:
    hints = get_type_hints(kind, include_extras=not is_record(kind))
    found: dict[str, Parameter] = {}
    own = get_annotations(kind)  # what a kind adds comes before what it inherits
    for one in sorted(fields(kind), key=lambda one: one.name not in own):
        if is_record(hints[one.name]):
            found |= _options(hints[one.name])
            continue
        annotation: Any = hints[one.name]
        if is_record(kind):
            read: Any = _read(annotation, one.default)
            annotation = Annotated[read, declared(kind, one.name)]
        found[one.name] = Parameter(
            one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=annotation
        )
    return found


def _read(hint: Any, default: object) -> Any:
    """Return the type that the command line reads: fixed words, text where it will do, a number."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint, *get_args(hint))
    fixed = [part for part in parts if get_origin(part) is Literal]
    numbers = [] if str in parts else [kind for kind in (bool, int, float) if kind in parts]
    kind: Any = [*fixed, *numbers, str][0]
    return kind | None if NoneType in parts or default is None else kind
