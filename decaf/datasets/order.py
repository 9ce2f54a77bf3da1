"""The order in which people count: ``a/2.jpg`` before ``a/10.jpg``."""

import re
import sys
from collections.abc import Iterable

_NUMBER = re.compile("[0-9]+")


def natural_sorted(paths: Iterable[str]) -> list[str]:
    """Return paths sorted part by part, numbers in them by their value.

    Returns
    -------
    list of str
        Sorted; paths that differ in leading zeros alone by their characters.
    """
    # Twice, for keys that are tuples leave millions of small holes in Python's memory.
    return sorted(sorted(paths), key=_key)


def _key(path: str) -> str:
    # A part's end sorts before a number, a number before any other character, a number of fewer
    # digits before one of more.
    return _NUMBER.sub(_by_length, path.replace("/", "\0\0"))


def _by_length(number: re.Match[str]) -> str:
    digits = number.group().lstrip("0")
    return f"\0{chr(min(1 + len(digits), sys.maxunicode))}{digits}"
