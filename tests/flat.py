"""The verbs with the fields of their records as keyword arguments, for short tests."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints

import decaf
from decaf.records import Record, is_record


def flat(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Return a verb that takes fields of its records by name."""
    parameters = inspect.signature(verb).parameters
    hints = get_type_hints(verb)
    records = {name: hints[name] for name in parameters if is_record(hints[name])}

    @wraps(verb)
    def with_fields(*args: Any, **options: Any) -> Any:
        known = {name for kind in records.values() for name in all_names(kind)}
        own = {name: value for name, value in options.items() if name in parameters}
        given = {name: value for name, value in options.items() if name not in own}
        assert set(given) <= known, f"{verb.__name__} has no {set(given) - known}"
        made = {name: make(kind, given) for name, kind in records.items() if name not in own}
        return verb(*args, **own, **made)

    return with_fields


def all_names(kind: type[Record]) -> set[str]:
    hints = get_type_hints(kind)
    return {
        name
        for one in fields(kind)
        for name in (all_names(hints[one.name]) if is_record(hints[one.name]) else {one.name})
    }


def make(kind: type[Record], given: dict[str, Any]) -> Record:
    """Return a record of the fields that are given, some of which are records."""
    hints = get_type_hints(kind)
    values = {}
    for one in fields(kind):
        if is_record(hints[one.name]):
            values[one.name] = make(hints[one.name], given)
        elif one.name in given:
            values[one.name] = given[one.name]
    return kind(**values)


extract = flat(decaf.extract)
evaluate = flat(decaf.evaluate)
train = flat(decaf.train)
finetune = flat(decaf.finetune)
predict = flat(decaf.predict)
