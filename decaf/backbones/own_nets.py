"""The user's own nets, as ``package.module:function``."""

import hashlib
import importlib
from functools import partial

import torch
from torch import nn

from decaf.backbones.code import code_sha256
from decaf.backbones.definition import Definition
from decaf.backbones.taps import NetLayout
from decaf.backbones.weights import Weights, state_sha256
from decaf.choices import check_choice
from decaf.errors import BackboneError, ConfigError
from decaf.images.views import CROPS
from decaf.types import Preprocessing

INTERPOLATIONS = ("bilinear", "bicubic")


def define(name: str, weights: str, *, allow_code: bool) -> Definition:
    """Import a function and call it; it returns a net and its preprocessing.

    Parameters
    ----------
    name : str
        ``package.module:function``, to be found on Python's path; called without arguments.
    weights : str
        ``imagenet`` for those that the function gives its net.
    allow_code : bool
        Whether the user said that the function may run.

    Raises
    ------
    ConfigError
        If code is not allowed, or the function cannot be imported.
    BackboneError
        If it does not return a net and a `Preprocessing`.
    """
    if not allow_code:
        msg = f"asked for backbone {name!r}, which is code to run; allow it with --allow-code"
        raise ConfigError(msg)
    module, _, function = name.partition(":")
    try:
        made = getattr(importlib.import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as error:
        msg = (
            f"asked for backbone {name!r}, cannot import it ({error}); give package.module:function"
        )
        raise ConfigError(msg) from error
    match made:
        case (nn.Module() as net, Preprocessing() as preprocessing):
            return define_module(net, preprocessing, name, weights)
    msg = (
        f"{name} returns {type(made).__name__}; it has to return a pair of a torch.nn.Module and a "
        "decaf.types.Preprocessing"
    )
    raise BackboneError(msg)


def define_module(
    net: nn.Module, preprocessing: Preprocessing, name: str, weights: str = "imagenet"
) -> Definition:
    """Return a net that is already built; its layers are its modules' names.

    Raises
    ------
    ConfigError
        If published weights are asked for by a name.
    ConfigError
        If the preprocessing crops or interpolates in a way that decaf does not offer.
    """
    check_choice("crop of a preprocessing", preprocessing.crop, tuple(CROPS))
    check_choice("interpolation of a preprocessing", preprocessing.interpolation, INTERPOLATIONS)
    if weights != "imagenet":
        msg = f"unknown weights {weights!r} for {name}; give imagenet for the net's own, or a file"
        raise ConfigError(msg)
    return Definition(
        name, NetLayout({}, square=True), preprocessing, partial(_as_built, net), partial(_own, net)
    )


def _as_built(net: nn.Module, device: str) -> nn.Module:
    return net.to(torch.device(device)).eval() if device != "meta" else net.eval()


def _own(net: nn.Module) -> Weights:
    state = {key: value.detach().clone() for key, value in net.state_dict().items()}
    identity = f"{state_sha256(state)} {code_sha256(net)}"  # weights of other code are others
    return Weights("own", state, hashlib.sha256(identity.encode()).hexdigest())
