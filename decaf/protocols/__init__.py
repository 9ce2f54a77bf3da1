"""Published evaluation protocols: which rows train, which test, how C is chosen, which metric."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from decaf.choices import did_you_mean
from decaf.errors import ConfigError
from decaf.protocols.by_domain import DomainProtocol, domain_pair, domain_rules
from decaf.protocols.by_patch import (
    PatchFeatures,
    image_starts,
    patch_features,
    pool_patches,
)
from decaf.protocols.by_view import ViewFeatures, view_features
from decaf.protocols.catalogue import PROTOCOLS, protocols_of
from decaf.protocols.differences import published_protocol_differences
from decaf.protocols.rule import PublishedProtocol, Selection
from decaf.protocols.shots import require_shots, trained
from decaf.protocols.sides import training_rows
from decaf.protocols.split_files import kept_splits
from decaf.records import Overrides, numbers, words
from decaf.types import PATCH_VIEWS, ImageDataset, PatchRule

__all__ = [
    "PROTOCOLS",
    "DomainProtocol",
    "PatchFeatures",
    "PublishedProtocol",
    "Selection",
    "ViewFeatures",
    "default_protocol",
    "domain_pair",
    "domain_rules",
    "get_protocol",
    "image_starts",
    "kept_splits",
    "patch_features",
    "pool_patches",
    "protocol_names",
    "published_protocol_differences",
    "require_shots",
    "trained",
    "training_rows",
    "view_features",
    "with_shots",
]


_METRIC_OF = {"one": "mean_per_class", "several": "map_area", "number": "r2"}


def protocol_names(dataset_name: str) -> tuple[str, ...]:
    """Return the names of a data set's protocols; the first is its default."""
    return tuple(PROTOCOLS.get(dataset_name, PROTOCOLS["*"]))


def default_protocol(dataset: ImageDataset) -> PublishedProtocol:
    """Return the protocol of a data set that asks for none.

    Caltech-101 has DeCAF's; an own folder is tested on its own split where it has one, else on
    a held-out fifth.
    """
    return get_protocol(next(iter(protocols_of(dataset))), dataset)


def get_protocol(
    name: str, dataset: ImageDataset, overrides: Overrides = Overrides()
) -> PublishedProtocol:
    """Return a named protocol for a data set, with some of its rules replaced.

    ``"holdout"`` uses the data set's own split, or splits, where it has some, and a held-out fifth
    of each class where it has none.

    Parameters
    ----------
    name : str
        One of :func:`protocol_names`.
    dataset : ImageDataset
        The data set to evaluate on.
    overrides : Overrides
        What replaces the protocol's fields, with one number of training images per class at most;
        see `with_shots`.

    Returns
    -------
    PublishedProtocol
        The protocol as it will be used.

    Raises
    ------
    ConfigError
        If the data set has no such protocol, or a replacement makes no sense.
    """
    choices = protocols_of(dataset)
    if name not in choices:
        raise ConfigError(
            f"unknown protocol '{name}' for {dataset.name}; {did_you_mean(name, choices)}choose "
            f"one of: {', '.join(choices)}"
        )
    protocol = choices[name]
    if name == "holdout" and dataset.official is not None:
        protocol = replace(protocol, draw="official", n_splits=dataset.official.shape[1])
    if protocol.metric == "mean_per_class":
        protocol = replace(protocol, metric=_METRIC_OF[dataset.label_kind])
    view = overrides.view
    c_grid, drop_classes = overrides.c_grid, overrides.drop_classes
    replacements: dict[str, Any] = {
        **_shots_or_share(overrides.train_per_class),
        "n_splits": overrides.splits,
        "seed": overrides.seed,
        "normalize": overrides.normalize,
        "class_weight": overrides.class_weight,
        "c_grid": None if c_grid is None else tuple(sorted(numbers("c_grid", c_grid))),
        "view": view.view,
        "box": view.box,
        "box_scale": view.box_scale,
        "background_share": overrides.background_share,
        "patch_power": overrides.patch_power,
        "patch_pool": overrides.patch_pool,
        "drop_classes": None if drop_classes is None else words(drop_classes),
    }
    given = {name: value for name, value in replacements.items() if value is not None}
    protocol = replace(protocol, **given)
    if protocol.view in PATCH_VIEWS:
        rule = replace(protocol.patches or PatchRule(), **view.rule())
        protocol = replace(protocol, patches=rule)
    else:
        protocol = replace(protocol, patches=None)
    _refuse_unused(protocol, given | ({"patches": 0} if view.rule() else {}))
    return protocol


def with_shots(overrides: Overrides) -> list[Overrides]:
    """Return overrides once for each number of training images per class that they ask for.

    Raises
    ------
    ConfigError
        If a number is not a whole one.
    """
    if overrides.train_per_class is None:
        return [overrides]
    asked = overrides.train_per_class
    several = (asked,) if isinstance(asked, int) else words(asked)
    for one in several:
        _shots_or_share(one)
    return [replace(overrides, train_per_class=one) for one in several]


def _shots_or_share(asked: str | int | Sequence[str | int] | None) -> dict[str, Any]:
    """Return what replaces a protocol's number or share of training images: of ``5``, of ``5%``.

    Raises
    ------
    ConfigError
        If it is neither a whole number nor a share.
    """
    if asked is None:
        return {}
    text = str(asked).strip()
    (number,) = numbers("train_per_class", text.removesuffix("%"))
    if text.endswith("%"):
        return {"train_share": number / 100}
    if number != int(number):
        raise ConfigError(
            f"train_per_class takes whole numbers, found {asked!r}; correct it, or give a share as "
            "5%"
        )
    return {"train_per_class": int(number)}


def _refuse_unused(protocol: PublishedProtocol, given: Mapping[str, Any]) -> None:
    """Refuse replacements that nothing would use."""
    if protocol.patches is None:
        unused = [name for name in given if name.startswith(("patch", "background"))]
        if unused:
            raise ConfigError(
                f"asked for {unused[0]}, but view {protocol.view!r} has no patches; choose view "
                "'patches' or leave it out"
            )
    elif protocol.box != "none":
        raise ConfigError(
            f"asked for view {protocol.view!r} of boxes, which have no patches; choose another "
            "view, or box 'none'"
        )
    elif protocol.normalize != "none":
        raise ConfigError(
            f"patches train without normalisation, found {protocol.normalize!r}; leave it out"
        )
    if protocol.box == "none" and "box_scale" in given:
        raise ConfigError("asked for box_scale without boxes; choose box 'crop' or leave it out")
