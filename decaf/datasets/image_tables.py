"""The image table: building one with its checks, and a smaller one of it."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from decaf.datasets.info import DatasetInfo
from decaf.errors import ConfigError, DataError
from decaf.names import Names, names_taken
from decaf.types import SIDES, FloatArray, ImageDataset, ImageSource, IntArray, label_kind

_OPTIONAL = ("official", "boxes", "image_labels", "image_boxes")
_LONG_NAME, _NAMES_BYTES = 4096, 2**28  # a store gives all names one width


class Columns(TypedDict, total=False):
    """What a table may say of its images beside their labels; see `ImageDataset`.

    Attributes
    ----------
    official : numpy.ndarray, optional
        ``(n_images, n_partitions)`` side codes.
    boxes : numpy.ndarray, optional
        ``(n_images, 4)`` boxes.
    groups : sequence of str, optional
        ``(n_images,)`` what each image belongs to.
    sizes_bytes : sequence of int or numpy.ndarray, optional
        Sizes of the files; looked up below the table's root if not given.
    source : ImageSource, optional
        What reads the images, if not files below the root.
    """

    official: IntArray | None
    boxes: FloatArray | None
    groups: Sequence[str] | None
    sizes_bytes: Sequence[int] | IntArray | None
    source: ImageSource | None


def image_table(
    name: str,
    root: Path,
    image_ids: Sequence[str],
    labels: Sequence[int] | IntArray | FloatArray,
    class_names: Sequence[str],
    *,
    partial: bool = False,
    images: bool = True,
    **columns: Unpack[Columns],
) -> ImageDataset:
    """Build a table of labelled images, with the sizes of their files.

    Parameters
    ----------
    name : str
        Short name of the data set.
    root : pathlib.Path
        Folder that the ids are relative to.
    image_ids : sequence of str
        Relative POSIX paths.
    labels : sequence of int or numpy.ndarray
        ``(n_images,)`` class numbers, ``(n_images, n_classes)`` of 1, -1 and 0, or
        ``(n_images, 1)`` float64 numbers.
    class_names : sequence of str
        Name of each class number.
    partial : bool
        Whether images of the published data set are missing.
    images : bool
        Whether one image at least must be there.
    **columns : Columns
        What else is known of the images.

    Raises
    ------
    DataError
        The rows contradict each other, or no image is there.
    """
    sizes_bytes, official = columns.get("sizes_bytes"), columns.get("official")
    boxes, groups = columns.get("boxes"), columns.get("groups")
    table = ImageDataset(
        name=name,
        root=root,
        image_ids=names_of(name, image_ids),
        labels=_as_labels(labels),
        class_names=tuple(class_names),
        sizes_bytes=_sizes(root, image_ids)
        if sizes_bytes is None
        else np.array(sizes_bytes, np.int64),
        official=None if official is None else np.asarray(official, dtype=np.int8),
        boxes=None if boxes is None else np.asarray(boxes, dtype=np.float32),
        groups=None if groups is None else names_of(name, groups),
        partial=partial,
        source=columns.get("source"),
    )
    _check(table, images=images)
    return table


def names_of(name: str, names: Sequence[str]) -> Names:
    """Return the names of a data set's files or classes.

    Raises
    ------
    DataError
        One is not UTF-8.
    """
    try:
        return Names(names)
    except UnicodeEncodeError as error:
        raise DataError(
            f"data set {name}: the file name {error.object[-40:]!r} is not UTF-8; rename the file"
        ) from error


def _as_labels(labels: Sequence[int] | IntArray | FloatArray) -> IntArray:
    array = np.asarray(labels)
    if label_kind(array) == "number":
        return array
    return array.astype(np.int8 if array.ndim == 2 else np.int64)


def _sizes(root: Path, image_ids: Sequence[str]) -> IntArray:
    sizes = np.full(len(image_ids), -1, dtype=np.int64)
    for row, image_id in enumerate(image_ids):
        try:
            sizes[row] = os.stat(f"{root}/{image_id}").st_size  # noqa: PTH116 - paths are slow
        except (OSError, ValueError):  # a zero byte in the name
            continue  # the row stays, and extraction reports it as a failure
    return sizes


def _check(table: ImageDataset, *, images: bool) -> None:
    n_images, n_classes = len(table.image_ids), len(table.class_names)
    if images and (table.sizes_bytes < 0).all():
        raise DataError(
            f"data set {table.name}: none of its {n_images} images is under {table.root}, the "
            f"first looked for is {next(iter(table.image_ids), '')[:200]!r}; put them there or "
            "correct the paths"
        )
    for what in ("labels", "official", "boxes", "groups"):
        column = getattr(table, what)
        if column is not None and len(column) != n_images:
            raise DataError(
                f"data set {table.name}: {len(column)} rows of {what} for {n_images} images; "
                "give one an image"
            )
    longest = max(table.image_ids, key=len, default="")
    if len(longest) > _LONG_NAME and len(longest) * n_images > _NAMES_BYTES:
        raise DataError(
            f"data set {table.name}: the path {longest[:40]!r}... has {len(longest)} characters, "
            "which no file can have; correct it"
        )
    hashes = np.fromiter(map(hash, table.image_ids), np.int64, n_images)
    if table.boxes is None and np.unique(hashes).size < n_images:
        double, n_times = Counter(table.image_ids).most_common(1)[0]
        if n_times > 1:
            raise DataError(f"data set {table.name}: {double!r} is listed twice; list it once")
    names_of(table.name, table.class_names)
    if table.label_kind == "number":
        return
    if n_classes < 2:
        raise DataError(
            f"data set {table.name}: found {n_classes} class ({', '.join(table.class_names)}); "
            "a classifier needs two or more"
        )
    low, high = (-1, 1) if table.labels.ndim == 2 else (0, n_classes - 1)
    if table.labels.min() < low or table.labels.max() > high:
        raise DataError(f"data set {table.name}: labels reach beyond {low} to {high}")


def official_sides(name: str, sides: Sequence[str]) -> IntArray:
    """Return the official split of a table from the side of each row.

    Parameters
    ----------
    name : str
        What to call the data set in a message.
    sides : sequence of str
        ``"train"``, ``"val"`` or ``"test"`` for each row.

    Returns
    -------
    numpy.ndarray
        ``(n_images, 1)`` int8 codes, as in `ImageDataset`.

    Raises
    ------
    DataError
        No row is for training, or none is held out.
    """
    found = set(sides)
    if "train" not in found or len(found) < 2:
        raise DataError(
            f"{name} has a split, but only of {', '.join(sorted(found))}; it needs images under "
            "'train', and held-out ones under 'test' or 'val'"
        )
    codes: dict[str, int] = {side: 1 + index for index, side in enumerate(SIDES)}
    return np.array([[codes[side]] for side in sides], dtype=np.int8)


def take(dataset: ImageDataset, n_images: int) -> ImageDataset:
    """Return evenly spaced rows of a table, in its order, marked as partial.

    Parameters
    ----------
    dataset : ImageDataset
        A table.
    n_images : int
        Number of rows to keep; a table that has no more is returned as it is.

    Raises
    ------
    ConfigError
        `n_images` is less than 1.
    """
    if n_images < 1:
        raise ConfigError(f"a limit of {n_images} images was asked; give 1 or more")
    total = len(dataset.image_ids)
    if n_images >= total:
        return dataset
    return _select(dataset, np.arange(n_images) * total // n_images)


def slice_rows(dataset: ImageDataset, rows: slice) -> ImageDataset:
    """Return consecutive rows of a table, with all the class names."""
    kept = _select(dataset, np.arange(len(dataset.image_ids))[rows])
    return dataclasses.replace(kept, partial=dataset.partial)


def only_present(
    info: DatasetInfo, dataset: ImageDataset, *, allow_partial: bool = False
) -> ImageDataset:
    """Return the rows of a published table whose images are there.

    Returns
    -------
    ImageDataset
        The whole table, or a smaller one that is marked as partial.

    Raises
    ------
    DataError
        Images are missing and that is not allowed.
    """
    present = dataset.sizes_bytes >= 0
    missing = [dataset.image_ids[row] for row in np.flatnonzero(~present).tolist()]
    if info.n_sides is not None and dataset.official is not None:
        listed = tuple(int((dataset.official == code).sum()) for code in (1, 2, 3))
        if listed != info.n_sides:
            missing.insert(0, f"a line of the official lists ({listed} of {info.n_sides})")
    info.check_complete(int(present.sum()), missing, dataset.root, allow_partial=allow_partial)
    return _select(dataset, np.flatnonzero(present)) if missing else dataset


def _select(dataset: ImageDataset, rows: IntArray) -> ImageDataset:
    optional = {name: getattr(dataset, name) for name in _OPTIONAL}
    return dataclasses.replace(
        dataset,
        image_ids=Names(dataset.image_ids).take(rows),
        labels=dataset.labels[rows],
        sizes_bytes=dataset.sizes_bytes[rows],
        partial=True,
        **{name: column[rows] for name, column in optional.items() if column is not None},
        **names_taken(dataset, rows),
    )
