"""Copying weights into a net: names that differ, and what a checkpoint lacks."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from decaf.backbones.checkpoints import StateDict
from decaf.backbones.taps import Lack, NetLayout, Tap, Trace, as_maps, hook, layer_shapes, trace
from decaf.errors import BackboneError
from decaf.progress import log

_SHOWN_KEYS = 5


@dataclass(frozen=True)
class Fitting:
    """How weights went into a net.

    Attributes
    ----------
    said : str
        What was renamed, is missing or was left out; empty where all names were the net's own.
    cut : tuple of str
        Modules of the net whose output is not that of the weights' net, which has more in them.
    """

    said: str = ""
    cut: tuple[str, ...] = ()


def fill(net: nn.Module, name: str, label: str, state: StateDict) -> Fitting:
    """Copy weights into a net; parameters that they lack become nan.

    Counters of batches, which torch needs in training alone, may be missing. Names may begin with
    what a wrapper put before them (``module.``, ``backbone.``).

    Parameters
    ----------
    net : torch.nn.Module
        The net.
    name, label : str
        What messages call it and the weights.
    state : mapping of str to torch.Tensor
        Plain tensors.

    Raises
    ------
    BackboneError
        If nothing fits, or a value is not finite.
    """
    own = net.state_dict()
    prefix = _prefix(own, state)
    given = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
    others = [key for key in state if not key.startswith(prefix)]
    misshapen = {
        key: f"{key} {_form(value)} instead of {_form(own[key])}"
        for key, value in given.items()
        if key in own and not _fits(value, own[key])
    }
    floats = [key for key, value in own.items() if value.is_floating_point()]
    missing = [key for key in floats if key not in given]
    unexpected = [
        key for key in given if key not in own and not key.endswith("num_batches_tracked")
    ]
    notes = [
        f"{prefix!r} was taken off the names" if prefix else "",
        _listed("missing", missing),
        _listed("unexpected", unexpected),
        _listed("of another shape", [*misshapen.values()]),
        _listed("of another part", others),
    ]
    said = "; ".join(note for note in notes if note)
    fitting = {k: v for k, v in given.items() if k in own and k not in misshapen}
    if not fitting.keys() & set(floats):
        raise BackboneError(_does_not_fit(name, label, said))
    _require_finite(fitting, label)
    nan = {key: torch.full_like(own[key], torch.nan) for key in (*missing, *misshapen)}
    net.load_state_dict({**own, **fitting, **nan})
    cut = {_ancestor(net, key) for key in unexpected}
    return Fitting(said, tuple(sorted(cut - {""})))


def fitted_trace(
    net: nn.Module, input_size_px: int, layout: NetLayout, fit: Fitting, *, name: str, label: str
) -> Trace:
    """Return the dry run of a net that `fill` filled, with what its weights lack; that is said.

    Raises
    ------
    BackboneError
        If no layer can be computed from the weights.
    """
    traced = trace(net, input_size_px, layout)
    if not fit.said:
        return traced
    traced = replace(traced, lack=_lack(net, traced, input_size_px, layout, fit))
    if not layer_shapes(traced, layout):
        raise BackboneError(_does_not_fit(name, label, fit.said))
    log(f"the weights {label} fit {name} but for this: {fit.said}")
    return traced


def _lack(
    net: nn.Module, traced: Trace, input_size_px: int, layout: NetLayout, fit: Fitting
) -> Lack:
    """Return which outputs depend on what is missing: it is nan, and so is what comes of it."""
    spoilt: set[Tap] = set()

    def read(tap: Tap, value: Any) -> None:
        if isinstance(value, torch.Tensor) and as_maps(value, tap, layout).isnan().any():
            spoilt.add(tap)

    handles = [
        net.get_submodule(module).register_forward_hook(lambda *seen: seen[2] * torch.nan)
        for module in fit.cut
    ]
    handles += [hook(net, tap, read) for tap in traced.shapes]
    try:
        with torch.inference_mode():
            net(torch.zeros(3, 3, input_size_px, input_size_px))
    finally:
        for handle in handles:
            handle.remove()
    return Lack(frozenset(spoilt), fit.said)


def _does_not_fit(name: str, label: str, said: str) -> str:
    return (
        f"the weights {label} do not fit {name}: {said}; give weights of {name}, or the net that "
        "these are of"
    )


def _prefix(own: StateDict, state: StateDict) -> str:
    """Return what stands before the net's own names in most of the weights' names."""
    found = Counter({"": 0})
    for key, value in state.items():
        for dot in (0, *(match.end() for match in re.finditer(r"\.", key))):
            rest = key[dot:]
            if rest in own and _fits(value, own[rest]):
                found[key[:dot]] += 1
    return max(found, key=found.__getitem__)  # of equals the first, that of no prefix before all


def _fits(value: torch.Tensor, own: torch.Tensor) -> bool:
    return value.shape == own.shape and value.is_floating_point() == own.is_floating_point()


def _form(value: torch.Tensor) -> str:
    kind = "" if value.is_floating_point() else f" {str(value.dtype).removeprefix('torch.')}"
    return f"{tuple(value.shape)}{kind}"


def _listed(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return ""
    more = ", ..." * (len(keys) > _SHOWN_KEYS)
    return f"{len(keys)} {what} ({', '.join(keys[:_SHOWN_KEYS])}{more})"


def _require_finite(state: Mapping[str, torch.Tensor], label: str) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not value.sum(dtype=torch.float64).isfinite():
            raise BackboneError(
                f"the weights {label} hold values in {key} that are not finite; get them again"
            )


def _ancestor(net: nn.Module, key: str) -> str:
    """Return the innermost module of a net that a parameter's name lies in."""
    modules = dict(net.named_modules())
    name = key.rpartition(".")[0]
    while name not in modules:
        name = name.rpartition(".")[0]
    return name
