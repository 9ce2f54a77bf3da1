"""What a record of options is: a frozen dataclass that checks its values and documents itself."""

import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from inspect import signature
from typing import (
    Annotated,
    Any,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from decaf.choices import check_choice
from decaf.errors import ConfigError

R = TypeVar("R")
P = ParamSpec("P")
T = TypeVar("T")


def option(
    *,
    default: Any,
    about: str,
    low: float | None = None,
    high: float | None = None,
    metavar: str | None = None,
) -> Any:
    """Declare a field of a record.

    Parameters
    ----------
    default : object
        Its default.
    about : str
        One sentence of help.
    low, high : float, optional
        The least and the greatest value that it takes.
    metavar : str, optional
        What stands for the value in the help of the command line.
    """
    return field(
        default=default, metadata={"about": about, "low": low, "high": high, "metavar": metavar}
    )


@dataclass_transform(frozen_default=True, field_specifiers=(option,))
def record(cls: type[R]) -> type[R]:
    """Make a class of options a frozen dataclass that checks its values and documents itself."""
    made = dataclass(frozen=True)(cls)
    lines = [f"{one.name} : {_said(one.type)}\n    {one.metadata['about']}" for one in fields(made)]  # type: ignore[arg-type] # it is a dataclass now
    made.__doc__ = f"{cls.__doc__}\n\nAttributes\n----------\n" + "\n".join(lines) + "\n"
    return made


def _said(kind: Any) -> str:
    if get_origin(kind) in (Union, types.UnionType):
        return " or ".join(_said(part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return ", ".join(get_args(kind))
    if get_origin(kind) is Annotated:
        return _said(get_args(kind)[0])
    return "None" if kind is type(None) else getattr(kind, "__name__", str(kind))


class Record:
    """What the records have in common: values are checked where they are made."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for one in fields(self):  # type: ignore[arg-type] # every subclass is a dataclass
            value = getattr(self, one.name)
            if value is None:
                continue
            _check_type(one.name, value, hints[one.name])
            for part in (hints[one.name], *get_args(hints[one.name])):
                if get_origin(part) is Literal and isinstance(value, str):
                    check_choice(one.name, value, get_args(part))
                if get_origin(part) is Annotated:
                    part.__metadata__[0](value)
            _check_bounds(one.name, value, one.metadata["low"], one.metadata["high"])

    def given(self) -> dict[str, Any]:
        """Return the fields that are not at their default, by name."""
        own = fields(self)  # type: ignore[arg-type] # every subclass is a dataclass
        return {f.name: v for f in own if (v := getattr(self, f.name)) != f.default}

    def only(self, what: str, *names: str) -> None:
        """Refuse fields that are given and that something does not use.

        Parameters
        ----------
        what : str
            What does not use them.
        *names : str
            The fields that it uses.

        Raises
        ------
        ConfigError
            If another one is given.
        """
        for name, value in self.given().items():
            if name not in names:
                raise ConfigError(f"{what} does not use {name}, found {value!r}; leave it out")


def _check_type(name: str, value: object, hint: Any) -> None:
    """Refuse a value of another type than a field has; whole numbers are numbers too."""
    several = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    parts = [get_args(one)[0] if get_origin(one) is Annotated else one for one in several]
    kinds = [str if get_origin(one) is Literal else get_origin(one) or one for one in parts]
    if Any in kinds:
        return
    fits = any(isinstance(value, int if kind is float else kind) for kind in kinds) or (
        float in kinds and isinstance(value, float)
    )
    if not fits or (isinstance(value, bool) and bool not in kinds):
        raise ConfigError(f"{name} is {_said(hint)}, found {value!r}; give another value")


def _check_bounds(name: str, value: object, low: float | None, high: float | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if low is None and high is None:
        return
    bounds = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
    raise ConfigError(f"{name} is {bounds}, found {value}; give another value")


def words(value: str | Sequence[str | int] | None) -> tuple[str, ...]:
    """Return the names of a comma-separated text, or of a sequence, each once."""
    parts = value.split(",") if isinstance(value, str) else value or ()
    return tuple(dict.fromkeys(str(part).strip() for part in parts))


def numbers(name: str, value: str | float | Sequence[float]) -> tuple[float, ...]:
    """Return the numbers of a comma-separated text, of a sequence, or a single one.

    Raises
    ------
    ConfigError
        If one is no number.
    """
    if isinstance(value, int | float):
        return (float(value),)
    try:
        return tuple(float(one) for one in (value.split(",") if isinstance(value, str) else value))
    except ValueError as error:
        raise ConfigError(
            f"{name} takes numbers separated by commas, found {value!r}; correct it"
        ) from error


def takes_records(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function refuse what stands in the place of a record and is none."""
    bind = signature(function).bind

    @wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> T:
        hints = get_type_hints(function)
        for name, value in bind(*args, **kwargs).arguments.items():
            kind = hints[name]
            if is_record(kind) and not isinstance(value, kind):
                raise ConfigError(
                    f"{name} is a {kind.__name__}, found {value!r}; give {kind.__name__}({value!r})"
                )
        return function(*args, **kwargs)

    return with_checks


def is_record(kind: object) -> bool:
    """Return whether a type is a record of options."""
    return isinstance(kind, type) and issubclass(kind, Record)
