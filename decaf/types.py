"""The values that travel between decaf's parts, and the interfaces they meet.

Values are frozen dataclasses; interfaces are structural :class:`typing.Protocol` classes, so
that a test can pass a ten-line fake. Nothing here reads, writes or computes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from decaf.choices import PatchEdges
from decaf.errors import ConfigError

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]

Side = Literal["train", "val", "test"]
SIDES: tuple[Side, ...] = ("train", "val", "test")
"""The sides of an official split, coded 1, 2 and 3 in :attr:`ImageDataset.official`."""


BACKGROUND = "background"
"""Name of the class of patches that show no object."""

DIFFICULT = "difficult"
"""Name of the class of patches that show a difficult object: they train nothing."""

PATCH_VIEWS = ("patches", "dense")
"""Views that make a row of each patch of an image."""


LabelKind = Literal["one", "several", "number"]
"""An image has one class, or several, or a number to predict."""


OF_KIND = {
    "one": "one label an image",
    "several": "several labels an image",
    "any": "labels",
    "number": "numbers to predict",
}
"""What a data set has, or a metric measures, in words."""


def label_kind(labels: npt.NDArray[Any]) -> LabelKind:
    """Return what labels are, by their shape and type."""
    if labels.dtype.kind == "f":
        return "number"
    return "one" if labels.ndim == 1 else "several"


class ImageSource(Protocol):
    """Reads images that are not files of a folder; goes to other processes with its table."""

    def read(self, image_id: str) -> bytes:
        """Return the bytes of an image, from any thread; an OSError says why it cannot."""


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """An ordered table of labelled images; the order is part of its identity.

    Attributes
    ----------
    name : str
        Short name, for instance ``"caltech101"``.
    root : pathlib.Path
        Folder that the image ids are relative to.
    image_ids : sequence of str
        Relative POSIX path of each image; unique unless boxes tell rows apart.
    labels : numpy.ndarray
        ``(n_images,)`` int64 class numbers, or ``(n_images, n_classes)`` int8 with 1 (present),
        -1 (absent) and 0 ("difficult": left out of that class's training and test), or
        ``(n_images, 1)`` float64 numbers to predict.
    class_names : tuple of str
        Name of each class number, or of the column of numbers.
    sizes_bytes : numpy.ndarray
        ``(n_images,)`` int64 file sizes when the table was made; -1 where the file is missing.
    official : numpy.ndarray or None
        ``(n_images, n_partitions)`` int8 official splits: 0 unused, else 1 + index in `SIDES`.
    boxes : numpy.ndarray or None
        ``(n_images, 4)`` float32 boxes ``x0, y0, x1, y1`` in pixels, 0-based, end exclusive.
    groups : sequence of str or None
        What each image belongs to, such as a patient or a place; a group is on one side of a split.
    domains : sequence of str or None
        Where each image comes from, such as a shop or a camera, of data sets with such domains.
    image_labels, image_boxes : numpy.ndarray or None
        Where rows are patches, labels and boxes of the image that each is of; else None.
    partial : bool
        True when images of the published data set are missing; every result says so.
    source : ImageSource or None
        What reads the images; None where they are files below `root`.
    """

    name: str
    root: Path
    image_ids: Sequence[str]
    labels: IntArray
    class_names: tuple[str, ...]
    sizes_bytes: IntArray
    official: IntArray | None = None
    boxes: FloatArray | None = None
    groups: Sequence[str] | None = None
    domains: Sequence[str] | None = None
    image_labels: IntArray | None = None
    image_boxes: FloatArray | None = None
    partial: bool = False
    source: ImageSource | None = None

    @property
    def label_kind(self) -> LabelKind:
        """What the labels are."""
        return label_kind(self.labels)

    def require_classes(self, what: str) -> None:
        """Refuse numbers to predict where classes are needed; the ConfigError names what for."""
        if self.label_kind == "number":
            raise ConfigError(
                f"asked for {what}, found numbers to predict in {self.name}, and it is for "
                "classes; use decaf evaluate, or a column 'label'"
            )


@dataclass(frozen=True)
class PatchRule:
    """Which square patches are taken of an image.

    Attributes
    ----------
    scales : tuple of float
        A patch of scale s is as wide as the image's shorter side divided by s.
    overlap : float
        Neighbours of one scale share at least this share of their width.
    per_image : int or None
        At most so many patches an image, evenly spaced in the order of scales and rows.
    edges : str
        ``"clip"``: all patches lie within the image; ``"reflect"``: they go on until their
        centres are on its edges, and what lies outside is mirrored.

    Raises
    ------
    ConfigError
        If it makes no sense.

    References
    ----------
    Oquab, Bottou, Laptev and Sivic, CVPR 2014, section 3.3: eight scales, an overlap of one half.
    """

    scales: tuple[float, ...] = (1.0, 1.3, 1.6, 2.0, 2.4, 2.8, 3.2, 3.6)
    overlap: float = 0.5
    per_image: int | None = None
    edges: PatchEdges = "clip"

    def __post_init__(self) -> None:
        if not self.scales or not all(1 <= scale <= 100 for scale in self.scales):
            raise ConfigError(f"patch scales are from 1 to 100, found {self.scales}")
        if not 0 <= self.overlap <= 0.95:
            raise ConfigError(f"patches overlap by 0 to 0.95 of their width, found {self.overlap}")
        if self.per_image is not None and self.per_image < 1:
            raise ConfigError(f"patches per image are 1 or more, found {self.per_image}")
        if self.edges not in {"clip", "reflect"}:
            raise ConfigError(f"unknown patch edges {self.edges!r}; choose one of: clip, reflect")


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become the input of a net.

    Attributes
    ----------
    input_size_px : int
        Side of the square input.
    resize_px : int
        Length of a side before the centre crop; `crop` says of which.
    interpolation : str
        ``"bilinear"`` or ``"bicubic"``; always antialiased.
    crop : str
        ``"center"``: the shorter side is resized; ``"squash"``: both are; ``"border"``: the longer
        one is, and borders of the mean colour are added where the input is larger.
    mean, std : tuple of float
        Per RGB channel, for pixels scaled to [0, 1].
    """

    input_size_px: int
    resize_px: int
    interpolation: str
    crop: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Split:
    """Row numbers of one split of a data set.

    Attributes
    ----------
    train, test : numpy.ndarray
        Sorted int64 row numbers without overlap; train includes the validation rows.
    inner : tuple of (numpy.ndarray, numpy.ndarray)
        ``(fit, validation)`` pairs of row numbers, all within `train`, for choosing C.
    seed : int
        Seed of the protocol that drew the split, or the number of the official partition.
    shots : int or None
        Training images per class, where the protocol fixes them.
    labels : numpy.ndarray or None
        ``(len(train), n_classes)`` labels to train on, where they are not the data set's.
    """

    train: IntArray
    test: IntArray
    inner: tuple[tuple[IntArray, IntArray], ...]
    seed: int
    shots: int | None = None
    labels: IntArray | None = None


class RowWriter(Protocol):
    """Takes rows of features, in any order, and survives a crash."""

    def pending(self) -> IntArray:
        """Return the row numbers that are not done yet."""

    def write(
        self, rows: IntArray, features: Mapping[str, FloatArray], sha256: Sequence[bytes]
    ) -> None:
        """Write features of `rows` in place, then mark the rows as done."""

    def fail(self, row: int, reason: str) -> None:
        """Record that a row has no features, and why."""


class Scorer(Protocol):
    """What scores rows, once it is fitted."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """Label of each score."""

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return one score per row and class, shape ``(n_images, n_classes)``."""
