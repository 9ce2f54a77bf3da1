"""Which family a net's name belongs to."""

import re
from functools import cache
from typing import Protocol

from decaf.backbones import classic, mini, own_nets, pixels, timm_nets, torchvision_nets
from decaf.backbones.definition import Definition
from decaf.backbones.weights import Weights
from decaf.choices import did_you_mean
from decaf.errors import ConfigError


class Family(Protocol):
    """A module that defines nets with names of their own."""

    def names(self) -> list[str]:
        """Return the names of the family's nets."""

    def define(self, name: str, weights: str) -> Definition:
        """Return a net with one of its published weights."""


_LISTED: tuple[Family, ...] = (mini, torchvision_nets, classic, pixels)


@cache
def backbone_names() -> tuple[str, ...]:
    """Return the names of all nets but timm's (``timm/NAME``) and the user's own."""
    return tuple(name for family in _LISTED for name in family.names())


def define(name: str, weights: str = "imagenet", *, allow_code: bool = False) -> Definition:
    """Return a net by name.

    Parameters
    ----------
    name : str
        A name from `backbone_names`, ``timm/NAME``, or ``package.module:function``.
    weights : str
        Name of the published weights that decide the preprocessing.
    allow_code : bool
        Whether ``package.module:function`` may be imported and called.

    Raises
    ------
    ConfigError
        If there is no such net, or it has no such weights, a package is missing, or code is not
        allowed.
    BackboneError
        If what the net is cannot be used.
    """
    if name.startswith(timm_nets.PREFIX):
        return timm_nets.define(name, weights)
    if ":" in name:
        return own_nets.define(name, weights, allow_code=allow_code)
    for family in _LISTED:
        if name in family.names():
            return family.define(name, weights)
    stem = re.match(r"[a-z]{0,3}", name)
    near = [known for known in backbone_names() if stem and known.startswith(stem[0] or " ")]
    hint = did_you_mean(name, backbone_names())
    msg = f"unknown backbone {name!r}; {hint}choose one from `decaf models`"
    raise ConfigError(msg + (f", for instance {', '.join(near)}" if near else ""))


def get_weights(name: str, *, weights: str = "imagenet") -> Weights:
    """Return a net's published weights, fetched into the cache where they are not there.

    Raises
    ------
    BackboneError
        If they cannot be had; the message says what to put where.
    """
    return define(name, weights).published()
