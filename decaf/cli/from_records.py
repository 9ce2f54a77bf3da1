"""A command's options from the records in its signature."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import Parameter, signature
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
        Its parameters are annotated with records, or with `typer.Option` and `typer.Argument`.
        A field that two records have is one option, which goes to both.

    Returns
    -------
    callable
        For ``app.command()``; makes the records, and calls the function.
    """
    own = signature(function, eval_str=True).parameters.values()
    plain = [one for one in own if not is_record(one.annotation)]
    records = {one.name: one.annotation for one in own if is_record(one.annotation)}
    options: dict[str, Parameter] = {}
    for kind in records.values():
        options |= _options(kind)

    @wraps(function)
    def command(**given: Any) -> None:
        made = {name: _made(kind, given) for name, kind in records.items()}
        if given.get("workers"):
            limit_threads(given["workers"])
        function(**{one.name: given[one.name] for one in plain}, **made)

    together = [*plain, *options.values()]
    order = sorted(together, key=lambda one: one.kind)
    command.__signature__ = signature(function).replace(parameters=order)  # type: ignore[attr-defined] # typer reads it
    command.__annotations__ = {one.name: one.annotation for one in order}
    return command


def _made(kind: type[Record], given: dict[str, Any]) -> Record:
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _made(hints[name], given) if is_record(hints[name]) else given[name]
            for name in kind.names()
        }
    )


def declared(kind: type[Record], name: str) -> Any:
    """Return the option of the command line that a field of a record declares."""
    (one,) = [field for field in fields(kind) if field.name == name]  # type: ignore[arg-type] # every record is a dataclass
    flag = [f"--{name.replace('_', '-')}"] if isinstance(one.default, bool) else []
    return typer.Option(
        *flag,
        help=one.metadata["about"],
        metavar=one.metadata["metavar"],
        rich_help_panel=kind.__name__,
        show_default=one.default not in (None, ""),
    )


def _options(kind: type[Record]) -> dict[str, Parameter]:
    hints = get_type_hints(kind)
    found: dict[str, Parameter] = {}
    for one in fields(kind):  # type: ignore[arg-type] # as above
        if is_record(hints[one.name]):
            found |= _options(hints[one.name])
            continue
        read: Any = _read(hints[one.name], one.default)
        found[one.name] = Parameter(
            one.name,
            Parameter.KEYWORD_ONLY,
            default=one.default,
            annotation=Annotated[read, declared(kind, one.name)],
        )
    return found


def _read(hint: Any, default: object) -> Any:
    """Return the type that the command line reads: fixed words, text where it will do, a number."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint, *get_args(hint))
    fixed = [part for part in parts if get_origin(part) is Literal]
    numbers = [] if str in parts else [kind for kind in (bool, int, float) if kind in parts]
    kind: Any = [*fixed, *numbers, str][0]
    return kind | None if NoneType in parts or default is None else kind
