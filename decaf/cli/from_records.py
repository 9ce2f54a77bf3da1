"""A command's options from the records in its signature."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

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
    plain: list[Parameter] = []
    options: dict[str, Parameter] = {}
    records: dict[str, type[Record]] = {}
    for parameter in signature(function, eval_str=True).parameters.values():
        if is_record(parameter.annotation):
            records[parameter.name] = parameter.annotation
            options |= _options(parameter.annotation)
        else:
            plain.append(parameter)

    @wraps(function)
    def command(**given: Any) -> None:
        made = {
            name: kind(**{field: given[field] for field in kind.names()})
            for name, kind in records.items()
        }
        own = {parameter.name: given[parameter.name] for parameter in plain}
        function(**own, **made)

    arguments = [one for one in plain if one.kind is not Parameter.KEYWORD_ONLY]
    named = [one for one in plain if one.kind is Parameter.KEYWORD_ONLY]
    together = [*arguments, *named, *options.values()]
    command.__signature__ = signature(function).replace(parameters=together)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in together}
    return command


def _options(kind: type[Record]) -> dict[str, Parameter]:
    hints = get_type_hints(kind)
    found = {}
    for one in fields(kind):  # type: ignore[arg-type] # every record is a dataclass
        about, choices = one.metadata, _choices(hints[one.name])
        text = about["about"] + (f" [{'|'.join(choices)}]" if choices else "")
        option = typer.Option(
            *([f"--{one.name.replace('_', '-')}"] if isinstance(one.default, bool) else []),
            help=text,
            metavar=about["metavar"],
            rich_help_panel=f"{kind.__name__}",
            show_default=one.default is not None,
        )
        kind_: Any = _plain(hints[one.name], one.default)
        annotation = Annotated[kind_, option]
        found[one.name] = Parameter(
            one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=annotation
        )
    return found


def _choices(hint: Any) -> tuple[str, ...]:
    parts = (hint, *get_args(hint))
    return next((get_args(part) for part in parts if get_origin(part) is Literal), ())


def _plain(hint: Any, default: object) -> Any:
    """Return the type that the command line reads: text where a field takes it, else a number."""
    parts = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    numbers = [] if str in parts else [kind for kind in (bool, int, float) if kind in parts]
    kind: Any = numbers[0] if numbers else str
    return kind | None if NoneType in parts or default is None else kind
