"""Parameters of which some are quick, or enough to see that a kind works."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest


def slow_unless(quick: Callable[[Any], bool], values: Iterable[Any]) -> list[Any]:
    """Return values as parameters of a test, marked slow but for the quick ones."""
    return [
        pytest.param(
            *(one if isinstance(one, tuple) else (one,)),
            marks=[] if quick(one) else [pytest.mark.slow],
        )
        for one in values
    ]
