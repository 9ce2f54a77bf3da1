"""A table of pictures as a table of their patches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from decaf.datasets.objects import Objects
from decaf.datasets.read import open_file, read_bytes
from decaf.errors import ConfigError, DataError
from decaf.images.decode import picture_size
from decaf.images.patches import DenseGrid, dense_boxes, label_patches, patch_boxes
from decaf.names import Names
from decaf.types import BACKGROUND, FloatArray, ImageDataset, IntArray, PatchRule

_TRAINING_SIDES = (1, 2)  # codes of ImageDataset.official: train, val


def patch_table(
    table: ImageDataset,
    rule: PatchRule,
    objects: Sequence[Objects] | None,
    grid: DenseGrid | None = None,
) -> ImageDataset:
    """Return a table whose rows are the patches of a table's pictures, each with its box.

    Where objects are given, patches are labelled by them, with one more class for the background;
    of training pictures (those of an official training or validation
    side) patches that show a difficult object are left out, and most that show background. Where
    none are, a patch has its picture's labels.

    Parameters
    ----------
    table : ImageDataset
        Pictures; their headers are read for their sizes.
    rule : PatchRule
        Which patches.
    objects : sequence of Objects or None
        Those of each picture.
    grid : DenseGrid, optional
        Those that passes of a net over whole pictures make.

    Returns
    -------
    ImageDataset
        Picture after picture, one row a patch and one picture at least; a picture that cannot be
        read has one row, of one pixel, which will fail.

    Raises
    ------
    ConfigError
        If rows of the table are boxes with several labels each.
    DataError
        If an annotation is missing or malformed.
    """
    if table.boxes is not None and table.labels.ndim == 2:
        raise ConfigError(
            f"rows of {table.name} are boxes already; give --box crop instead of --views patches"
        )
    chance = np.random.default_rng(rule.seed)
    n_classes = len(table.class_names)
    boxes, labels, pictures = [], [], []
    for row in range(len(table.image_ids)):
        found = _boxes(table, row, rule, grid)
        if objects is None:
            named = np.repeat(table.labels[row : row + 1], len(found), axis=0)
        else:
            named = label_patches(found, objects[row].boxes, objects[row].labels, n_classes)
            if table.official is not None and table.official[row, 0] in _TRAINING_SIDES:
                background = named == n_classes
                thinned = background & (chance.random(len(found)) >= rule.background_share)
                keep = _trained_on(found, objects[row], thinned)
                found, named = found[keep], named[keep]
        boxes.append(found)
        labels.append(named)
        pictures.append(np.full(len(found), row))
    of = np.concatenate(pictures)
    names = table.class_names if objects is None else (*table.class_names, BACKGROUND)
    return replace(
        table,
        image_ids=Names(table.image_ids).take(of),
        labels=np.concatenate(labels),
        class_names=names,
        sizes_bytes=table.sizes_bytes[of],
        official=None if table.official is None else table.official[of],
        boxes=np.concatenate(boxes),
    )


def _trained_on(boxes: FloatArray, objects: Objects, thinned: npt.NDArray[np.bool_]) -> IntArray:
    """Return the patches of a training picture that are trained on; the first if none is."""
    doubtful = np.flatnonzero(objects.difficult)
    shows_doubtful = label_patches(boxes, objects.boxes[doubtful], doubtful, -1) >= 0
    keep = np.flatnonzero(~thinned & ~shows_doubtful)
    return keep if len(keep) else np.zeros(1, np.int64)


def _boxes(table: ImageDataset, row: int, rule: PatchRule, grid: DenseGrid | None) -> FloatArray:
    try:
        if table.source is None:  # only the header need be read
            with open_file(table.root / table.image_ids[row]) as file:
                size = picture_size(file)
        else:
            size = picture_size(read_bytes(table, row))
    except (DataError, OSError):
        return np.array([[0, 0, 1, 1]], np.float32)
    return dense_boxes(*size, rule, grid) if grid else patch_boxes(*size, rule)
