"""Ranges of numeric options, checked in one way; nan and infinity are in none of them."""

import math

from decaf.errors import ConfigError


def check_count(least: int, **values: float) -> None:
    """Refuse what is no whole number from `least` to 2**32 - 1.

    Raises
    ------
    ConfigError
        Naming the option, as the others do.
    """
    for name, value in values.items():
        if not least <= value < 2**32 or value != int(value):
            raise ConfigError(f"{name} is {least} or more, a whole number, found {value!r}")


def check_share(*, ends: bool = True, **values: float) -> None:
    """Refuse what is not between 0 and 1; these two too, unless `ends`."""
    for name, value in values.items():
        if not (0 <= value <= 1 if ends else 0 < value < 1):
            raise ConfigError(f"{name} is a share from 0 to 1, found {value!r}")


def check_above_0(**values: float) -> None:
    """Refuse what is not above 0, or infinite."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ConfigError(f"{name} is above 0 and finite, found {value!r}")
