"""The functions that take records, with the records' fields as keyword arguments."""

import inspect
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any, get_type_hints

import decaf
import decaf.demo
import decaf.extraction
import decaf.protocols
from decaf.records import Record, is_record


def flat(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that takes fields of its records by name."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    records = {name: hints[name] for name in parameters if is_record(hints[name])}
    known = fields_of(function)

    @wraps(function)
    def with_fields(*args: Any, **options: Any) -> Any:
        own = {
            name: value
            for name, value in options.items()
            if name in parameters and (name not in records or isinstance(value, Record))
        }
        given = {name: value for name, value in options.items() if name not in own}
        assert given.keys() <= known.keys(), f"{function.__name__} has no {set(given) - set(known)}"
        made = {name: make(kind, given) for name, kind in records.items() if name not in own}
        return function(*args, **own, **made)

    return with_fields


def fields_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the fields of all records that a function takes, by name."""
    hints = get_type_hints(function)
    return {
        name: one
        for parameter in inspect.signature(function).parameters
        if is_record(hints[parameter])
        for name, one in all_fields(hints[parameter]).items()
    }


def all_fields(kind: type[Record]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    found = {}
    for one in fields(kind):
        found |= all_fields(hints[one.name]) if is_record(hints[one.name]) else {one.name: one}
    return found


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
tune = flat(decaf.tune)
predict = flat(decaf.predict)
demo = flat(decaf.demo.demo)
get_protocol = flat(decaf.protocols.get_protocol)
make_plan = flat(decaf.extraction.make_plan)
