"""Stored features by image, whether a row of the store is an image or one of its patches."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from decaf.protocols import (
    PatchFeatures,
    PublishedProtocol,
    ViewFeatures,
    image_starts,
    patch_features,
    view_features,
)
from decaf.store import FeatureStore
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
