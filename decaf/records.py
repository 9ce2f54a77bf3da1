"""The options of decaf, each declared once: its type, default, allowed words, bounds and help.

The functions take these records; the command line, the checks and the documentation are made of
their fields.
"""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from inspect import signature
from pathlib import Path
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

from decaf.choices import (
    Box,
    Decoder,
    Dtype,
    Engine,
    Normalize,
    PatchEdges,
    PatchPool,
    Pool,
    Precision,
    ViewName,
    check_choice,
)
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

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(one.name for one in fields(cls))  # type: ignore[arg-type] # as above

    def given(self) -> dict[str, Any]:
        """Return the fields that are not at their default, by name."""
        own = fields(self)  # type: ignore[arg-type] # as above
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
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
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


def words(value: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of a comma-separated text, or of a sequence, each once."""
    parts = value.split(",") if isinstance(value, str) else value or ()
    return tuple(dict.fromkeys(part.strip() for part in parts))


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


@record
class Net(Record):
    """The net and what is taken of it: decides the values of features."""

    backbone: Any = option(
        default="alexnet",
        about="A net from `decaf models`, timm/NAME, package.module:function, or a loaded net.",
    )
    weights: str = option(
        default="imagenet",
        about="imagenet, random, one of torchvision's entries, or a .safetensors, .pth, .onnx or "
        ".caffemodel file.",
    )
    layers: str | Sequence[str] | None = option(
        default=None,
        about="Comma-separated layers, see `decaf layers`; the net's own of pool5,fc6,fc7 if not "
        "given.",
    )
    pool: Pool = option(
        default="none",
        about="How maps become vectors: none, avg, max or grid:N; of tokens: cls or mean.",
    )
    precision: Precision = option(
        default="fp32", about="What the net computes in; auto: bf16 where the device has it."
    )
    dtype: Dtype = option(default="float32", about="What is stored.")
    seed: int = option(
        default=0, about="Seed of random weights, and of all that is drawn.", low=0, high=2**32 - 1
    )
    allow_code: bool = option(
        default=False, about="Import and call a backbone package.module:function."
    )

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The layers, each once; none where they are the net's own."""
        return words(self.layers)


@record
class View(Record):
    """What a row shows of an image; where a field is None, the protocol decides."""

    view: ViewName | None = option(
        default=None,
        about="Crop or warp of the image; patches, dense: a row a patch. The protocol's, or "
        "center.",
    )
    box: Box | None = option(
        default=None, about="crop: views of the data set's boxes; none: of whole images."
    )
    box_scale: float | None = option(
        default=None,
        about="With box crop, factor for a box's width and height; 1.5 if not given.",
        low=0,
    )
    patch_scales: str | Sequence[float] | None = option(
        default=None,
        about="Comma-separated: a patch is as wide as the shorter side divided by this.",
    )
    patches_per_image: int | None = option(
        default=None, about="At most so many patches of an image.", low=1
    )
    patch_edges: PatchEdges | None = option(
        default=None, about="clip: patches lie within the image; reflect: they go on, mirrored."
    )

    def patches(self) -> dict[str, Any]:
        """Return the fields of a `decaf.types.PatchRule` that are given."""
        scales = self.patch_scales
        given: Mapping[str, Any] = {
            "scales": None if scales is None else numbers("patch_scales", scales),
            "per_image": self.patches_per_image,
            "edges": self.patch_edges,
        }
        return {name: value for name, value in given.items() if value is not None}


@record
class Source(Record):
    """Which images, and where stores of their features are kept."""

    data_root: str | Path = option(default="data", about="Folder that holds the named data sets.")
    limit: int | None = option(
        default=None, about="Take only so many images, evenly spaced.", low=1
    )
    allow_partial: bool = option(
        default=False, about="Accept a named data set with images missing; results are marked."
    )
    group_by: str | None = option(
        default=None,
        about="What images of a group share, which no split parts: a level of the folders "
        "(1, -1), content (identical files), or a regular expression on the path.",
    )
    domains: str | None = option(
        default=None,
        about="SOURCE:TARGET of office31, or of a folder <domain>/<class>/<image>: heads train in "
        "one domain and are tested in the other.",
    )
    decoder: Decoder = option(
        default="auto",
        about="Who decodes; auto: the fastest with Pillow's bits; gpu: nvJPEG, slightly other "
        "pixels.",
    )
    features: str | Path = option(
        default="features", about="Folder of the stores, or a store (.h5)."
    )


@record
class Compute(Record):
    """Where and how it runs; decides no value."""

    device: str = option(
        default="auto", about="auto, cpu, cuda, cuda:N, or cuda:all for every GPU here."
    )
    batch_size: str | int | None = option(
        default=None,
        about="Images in one pass, or auto to try; 32 on a CPU, 256 on a GPU if not given.",
        low=1,
        metavar="N|auto",
    )
    workers: int | None = option(default=None, about="Threads; one a core if not given.", low=0)
    max_failures: float = option(
        default=0.05, about="Share of unusable images above which the run fails.", low=0, high=1
    )
    quiet: bool = option(default=False, about="No progress on stderr.")


@record
class Cluster(Record):
    """Extraction spread over machines."""

    engine: Engine = option(
        default="local", about="The threads of this process, or actors of a Ray cluster."
    )
    num_workers: int | None = option(default=None, about="With ray, number of actors.", low=1)
    address: str | None = option(default=None, about="With ray, address of a running cluster.")
    shard: str | None = option(
        default=None,
        about="I/N: only the I-th of N parts, into a file of its own; see `decaf store join`.",
    )


@record
class Fit(Record):
    """How a head is trained; where a field is None, the protocol decides."""

    normalize: Normalize | None = option(default=None, about="What is done to features first.")
    c_grid: str | Sequence[float] | None = option(
        default=None, about="Comma-separated values of C to choose from."
    )
    patch_power: float | None = option(
        default=None, about="Power of a patch's probability in the image's score.", low=0
    )
    background_share: float | None = option(
        default=None, about="Share of the background patches that train.", low=0, high=1
    )
    seed: int = option(
        default=0, about="Seed of random weights, and of all that is drawn.", low=0, high=2**32 - 1
    )


@record
class Overrides(Fit):
    """What replaces a protocol's fields; where a field is None, the protocol decides."""

    view: View = option(default=View(), about="What a row shows of an image.")
    train_per_class: str | int | Sequence[int] | None = option(
        default=None, about="Training images per class; several, as 1,5,10: a learning curve."
    )
    splits: int | None = option(default=None, about="Number of splits.", low=1)
    splits_file: str | Path | None = option(
        default=None, about="The splits: replayed if the file is there, else written to it."
    )
    drop_classes: str | Sequence[str] | None = option(
        default=None,
        about="Comma-separated classes to leave out, as BACKGROUND_Google or 257.clutter.",
    )
    patch_pool: PatchPool | None = option(
        default=None, about="An image's score: mean or max over its patches."
    )
    train_on: str | Sequence[str] | None = option(
        default=None,
        about="With --domains, comma-separated: S (source), T (the target's few labelled images), "
        "ST (both).",
    )
    adapt: str | Sequence[str] | None = option(
        default=None,
        about="With --domains, comma-separated: none, coral, sa (subspace alignment), daume.",
    )
    recipe: Any = option(
        default="",
        about="How the head finetune trains, as blocks=2,epochs=40; see decaf.finetuning.Recipe.",
    )


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
