"""A table of images as a table of their patches."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from decaf.datasets.objects import Objects
from decaf.datasets.read import open_file, read_bytes
from decaf.errors import ConfigError, DataError
from decaf.images.decode import image_size
from decaf.images.patches import DenseGrid, dense_boxes, label_patches, patch_boxes
from decaf.names import Names, names_taken
from decaf.types import BACKGROUND, DIFFICULT, FloatArray, ImageDataset, IntArray, PatchRule


def patch_table(
    table: ImageDataset,
    rule: PatchRule,
    objects: Sequence[Objects] | None,
    grid: DenseGrid | None = None,
) -> ImageDataset:
    """Return a table whose rows are the patches of a table's images, each with its box.

    All patches are rows, whatever they show, so that the table serves any protocol: which of them
    train is the protocol's to say. Where objects are given, patches are labelled by them, with two
    more classes: the background, and what shows a difficult object. Where none are, a patch has
    its image's labels.

    Parameters
    ----------
    table : ImageDataset
        Images; their headers are read for their sizes.
    rule : PatchRule
        Which patches.
    objects : sequence of Objects or None
        Those of each image.
    grid : DenseGrid, optional
        Those that passes of a net over whole images make.

    Returns
    -------
    ImageDataset
        Image after image, one row a patch and one image at least; an image that cannot be
        read has one row, of one pixel, which will fail.

    Raises
    ------
    ConfigError
        If rows of the table are boxes with several labels each.
    DataError
        If an annotation is missing or malformed.
    """
    table.require_classes("patches")
    if table.boxes is not None and table.labels.ndim == 2:
        raise ConfigError(
            f"rows of {table.name} are boxes already; give --box crop instead of --views patches"
        )
    boxes, labels, images = [], [], []
    for row in range(len(table.image_ids)):
        found = _boxes(table, row, rule, grid)
        if objects is None:
            named = np.repeat(table.labels[row : row + 1], len(found), axis=0)
        else:
            named = _shown(found, objects[row], len(table.class_names))
        boxes.append(found)
        labels.append(named)
        images.append(np.full(len(found), row))
    of = np.concatenate(images)
    more = () if objects is None else (BACKGROUND, DIFFICULT)
    return replace(
        table,
        image_ids=Names(table.image_ids).take(of),
        labels=np.concatenate(labels),
        class_names=(*table.class_names, *more),
        sizes_bytes=table.sizes_bytes[of],
        official=None if table.official is None else table.official[of],
        boxes=np.concatenate(boxes),
        image_labels=table.labels[of],
        image_boxes=None if table.boxes is None else table.boxes[of],
        **names_taken(table, of),
    )


def _shown(boxes: FloatArray, objects: Objects, background: int) -> IntArray:
    """Return the class of each patch; one that shows a difficult object has the last."""
    named = label_patches(boxes, objects.boxes, objects.labels, background)
    for one in objects.boxes[objects.difficult]:
        named[label_patches(boxes, one[None], np.zeros(1, np.int64), -1) == 0] = background + 1
    return named


def _boxes(table: ImageDataset, row: int, rule: PatchRule, grid: DenseGrid | None) -> FloatArray:
    try:
        size = row_size(table, row)
    except (DataError, OSError):
        return np.array([[0, 0, 1, 1]], np.float32)
    return dense_boxes(*size, rule, grid) if grid else patch_boxes(*size, rule)


def row_size(table: ImageDataset, row: int) -> tuple[int, int]:
    """Return the width and height of a row's whole image, once upright, from its header.

    Raises
    ------
    DataError
        If its header is not that of an image.
    OSError
        If the file cannot be read.
    """
    if table.source is None:  # only the header need be read
        with open_file(table.root / table.image_ids[row]) as file:
            return image_size(file)
    return image_size(read_bytes(table, row))
