"""Stored features by image, whether a row of the store is an image or one of its patches."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError
from decaf.images.views import VIEWS
from decaf.protocols import (
    PatchFeatures,
    PublishedProtocol,
    ViewFeatures,
    image_starts,
    patch_features,
    view_features,
)
from decaf.records import Net, Source, View
from decaf.store import UNKNOWN_VIEW, FeatureStore
from decaf.types import ImageDataset, IntArray


@dataclass(frozen=True)
class StoredImages:
    """The features of a data set's images.

    Attributes
    ----------
    table : ImageDataset
        The images.
    store : FeatureStore
        An open store of them, or of their patches.
    rule : PublishedProtocol
        Says which.
    """

    table: ImageDataset
    store: FeatureStore
    rule: PublishedProtocol

    @cached_property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which images ``(n_images,)`` have all their features."""
        done = np.asarray(self.store.done, np.bool_)
        return done if self.rule.patches is None else np.logical_and.reduceat(done, self._first)

    @cached_property
    def image_sha256(self) -> npt.NDArray[np.uint8]:
        """SHA-256 ``(n_images, 32)`` of each encoded image file."""
        digests = self.store.image_sha256
        return digests if self.rule.patches is None else digests[self._first]

    def features(self, layer: str) -> ViewFeatures | PatchFeatures:
        """Return a layer's features in the form in which the protocol uses them."""
        if self.rule.patches is None:
            return view_features(self.store[layer][:], self.rule)
        n_classes = len(self.table.class_names)
        return patch_features(
            self.store[layer], self.store.image_ids, self.store.labels, n_classes, self.rule
        )

    @cached_property
    def _first(self) -> IntArray:
        return image_starts(self.store.image_ids)[:-1]


def store_at(data: object) -> Path | None:
    """Return the path of a store, where that is what is given; None for a data set."""
    if isinstance(data, str | Path) and Path(data).suffix == ".h5":
        return Path(data)
    return None


def stored_view(store: FeatureStore, asked: View) -> View:
    """Return the view of a store's rows.

    Raises
    ------
    ConfigError
        If another is asked for.
    """
    found = _view_of(store)
    for name, value in asked.given().items():
        if value != getattr(found, name):
            raise ConfigError(
                f"asked for {name} {value!r} of the store {store.path}, whose rows show "
                f"{' + '.join(store.provenance.views)}; leave it out, or extract others"
            )
    return found


def _view_of(store: FeatureStore) -> View:
    made = store.provenance
    (said,) = made.views
    if made.patches is not None:
        return View(
            "dense" if said.startswith("windows") else "patches",
            patch_scales=made.patches.scales,
            patches_per_image=made.patches.per_image,
            patch_edges=made.patches.edges,
        )
    if said == UNKNOWN_VIEW:
        return View()
    name, _, box = said.partition(" of ")
    if name not in VIEWS:  # features that another program computed, or regions
        return View()
    if not box:
        return View(cast("Any", name))
    return View(cast("Any", name), box="crop", box_scale=float(box.rpartition(" x ")[2]))


def refuse_for_store(path: Path, net: Net, source: Source) -> None:
    """Refuse options of extraction that a store does not use.

    Raises
    ------
    ConfigError
        If one is given.
    """
    net.only(f"the store {path}", "layers", "seed")
    source.only(f"the store {path}", "features", "data_root", "domains")


def refuse_domains(what: str, source: Source) -> None:
    """Refuse domains where nothing trains in one and tests in another.

    Raises
    ------
    ConfigError
        If they are given.
    """
    if source.domains is not None:
        raise ConfigError(f"{what} does not use domains, found {source.domains!r}; leave it out")


def one_layer(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse several layers, or none, where a model has one.

    Raises
    ------
    ConfigError
        If they are.
    """
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise ConfigError(f"a model has one layer, found {found}; give one from `decaf layers`")
    return names
