"""The fixed words that options take, and how others are refused. Loads nothing else."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from inspect import signature
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from decaf.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")

CropView = Literal["center", "warp", "squash"]
"""Views of one crop, on which a net itself can be trained."""

ImageView = Literal[CropView, "ten-crop", "razavian-16"]
ViewName = Literal[ImageView, "patches", "dense"]

Box = Literal["none", "crop"]
PatchEdges = Literal["clip", "reflect"]
PatchPool = Literal["mean", "max"]
Distance = Literal["cosine", "l2"]
SearchQueries = Literal["leave-one-out", "groups", "official"]
ClassWeights = Literal["none", "balanced"]
Normalize = Literal["none", "l2", "standard", "signed-square"]
TrainOn = Literal["S", "T", "ST"]
"""Rows of the source domain, labelled ones of the target, or both."""

Adapt = Literal["none", "coral", "sa", "daume"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]
Runtime = Literal["auto", "torch", "onnx"]
Dtype = Literal["float32", "float16"]
Decoder = Literal["auto", "pillow", "gpu"]
"""Who decodes: ``"auto"`` (torchcodec where it equals Pillow, else Pillow), ``"pillow"``, or
``"gpu"`` (nvJPEG, see `decaf.images.nvjpeg`, and for the rest as ``"auto"``)."""

Route = Literal["crop", "roi"]
"""How a detector sees regions: each warped by itself, or all pooled from one pass an image."""

Transform = Literal["translate", "scale", "rotate"]
Border = Literal["mean", "edge", "reflect"]
"""What comes into an image that is moved: the mean colour, the edge's, or what is mirrored."""

InvertMethod = Literal["2015", "2016"]
MaximizeMethod = Literal["2016", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4"]

SignalRule = Literal["deconvnet", "guided", "gradient"]
"""What a ReLU does to a signal that goes down to the pixels; see `decaf.insight.deconvnet`."""

Look = Literal[SignalRule, "grad-cam"]
"""How it is shown what of an image excites a unit."""

SquareFill = Literal["mean", "grey", "black"]
"""What an occluding square shows: the net's mean colour, or 128 or 0 of every colour."""

Engine = Literal["local", "ray"]
Method = Literal["tsne", "umap"]
ReportFormat = Literal["html", "markdown", "latex"]
ExportFormat = Literal["onnx", "safetensors"]
FeatureForm = Literal["npy", "npz", "parquet", "csv"]

POOLS = ("none", "avg", "max", "grid:N", "cls", "mean", "gem:P", "spoc", "crow", "rmac")


def check_pool(pool: str) -> float | None:
    """Check a pooling's name and return N of ``grid:N``, or P of ``gem:P``.

    Raises
    ------
    ConfigError
        If `pool` is not one of `POOLS`.
    """
    kind, _, number = pool.partition(":")
    form = {"grid": r"[0-9]{1,9}", "gem": r"[0-9]{1,9}(\.[0-9]{1,9})?"}.get(kind)
    if form and re.fullmatch(form, number) and float(number) > 0:
        return float(number)
    if pool not in POOLS or ":" in pool:
        hint = did_you_mean(pool, (one for one in POOLS if ":" not in one))
        raise ConfigError(
            f"unknown pooling {pool!r}; {hint}choose one of: {', '.join(POOLS)} "
            "(for instance grid:3, gem:3)"
        )
    return None


Pool = Annotated[str, check_pool]

PROPOSALS = ("selective", "grid", "truth")


def check_proposals(proposals: str) -> None:
    """Refuse what proposes no regions.

    Raises
    ------
    ConfigError
        If it is neither one of `PROPOSALS` nor a .csv or .mat file.
    """
    if proposals not in PROPOSALS and not proposals.lower().endswith((".csv", ".mat")):
        raise ConfigError(
            f"unknown proposals {proposals!r}; {did_you_mean(proposals, PROPOSALS)}choose one of: "
            f"{', '.join(PROPOSALS)}, or give a .csv or .mat file of boxes"
        )


Proposals = Annotated[str, check_proposals]


def check_choice(what: str, asked: object, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of the choices.

    Raises
    ------
    ConfigError
        If it is none of them; the message names the nearest, and all.
    """
    if asked in choices:
        return
    raise ConfigError(
        f"unknown {what} {asked!r}; {did_you_mean(asked, choices)}choose one of: "
        f"{', '.join(choices)}"
    )


def did_you_mean(asked: object, choices: Iterable[str]) -> str:
    """Return a question after the choice that is nearest to a word; nothing if none is near."""
    as_asked = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(str(asked).lower(), as_asked, 1, 0.6)
    return f"did you mean {as_asked[near[0]]!r}? " if near else ""


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function refuse words that the `Literal` of a parameter does not name.

    Parameters
    ----------
    function : callable
        Annotated with ``Literal[...]`` or ``Literal[...] | None``, by name or in place.

    Returns
    -------
    callable
        The same, which raises `ConfigError` before it does anything.
    """
    bind = signature(function).bind

    @wraps(function)
    def with_checks(*args: P.args, **kwargs: P.kwargs) -> T:
        check_arguments(function, bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return with_checks


def check_arguments(function: Callable[..., Any], given: Mapping[str, object]) -> None:
    """Refuse words that the `Literal` of a function's parameter does not name.

    Parameters
    ----------
    function : callable
        Annotated with ``Literal[...]`` or ``Literal[...] | None``.
    given : mapping
        Arguments by name.

    Raises
    ------
    ConfigError
        If one of them is not a choice; None passes.
    """
    for name, choices in choices_of(function).items():
        if given.get(name) is not None:
            check_choice(name, given[name], choices)
    for name, check in _checks_of(function).items():
        if given.get(name) is not None:
            check(given[name])


@cache
def choices_of(function: Callable[..., Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the words that each parameter with a `Literal` takes."""
    found = {}
    for name, hint in get_type_hints(function).items():
        for part in (hint, *get_args(hint)):
            if name != "return" and get_origin(part) is Literal:
                found[name] = get_args(part)
    return found


@cache
def _checks_of(function: Callable[..., Any]) -> Mapping[str, Callable[[Any], object]]:
    """Return the check of each parameter that is ``Annotated`` with one, such as `Pool`."""
    hints = get_type_hints(function, include_extras=True)
    return {n: hint.__metadata__[0] for n, hint in hints.items() if get_origin(hint) is Annotated}
