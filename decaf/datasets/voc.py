"""The layout that the Pascal VOC data sets share.

References
----------
Everingham et al., The Pascal visual object classes challenge, 2010, and its development kit.
"""

from pathlib import Path

import numpy as np

from decaf.datasets.image_tables import image_table, official_sides, only_present
from decaf.datasets.info import DatasetInfo
from decaf.datasets.lists import read_columns
from decaf.errors import DataError
from decaf.types import ImageDataset, IntArray, Side

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip

_LABELS = {"1": 1, "+1": 1, "0": 0, "-1": -1}


def load_classification(
    info: DatasetInfo, data_root: Path, sides: tuple[Side, ...], *, allow_partial: bool
) -> ImageDataset:
    """Read the classification task of a year.

    Returns
    -------
    ImageDataset
        Side after side in the order of the lists; label 0 where all objects of a class are
        difficult.

    Raises
    ------
    DataError
        Images or lists are missing, or the lists contradict each other.
    """
    tree = info.require(data_root)
    lists = tree / "ImageSets" / "Main"
    read = [read_labels(lists, CLASSES, side, n_keys=1) for side in sides]
    side_of = [side for side, (keys, _) in zip(sides, read, strict=True) for _ in keys]
    ids = [f"JPEGImages/{key}.jpg" for keys, _ in read for (key,) in keys]
    table = image_table(
        info.name,
        tree,
        ids,
        np.concatenate([labels for _, labels in read]),
        CLASSES,
        official=official_sides(info.name, side_of),
    )
    return only_present(info, table, allow_partial=allow_partial)


def read_labels(
    lists: Path, classes: tuple[str, ...], side: Side, n_keys: int
) -> tuple[list[tuple[str, ...]], IntArray]:
    """Read the label files of one side, ``<class>_<side>.txt`` for each class.

    Parameters
    ----------
    lists : pathlib.Path
        Folder of the label files.
    classes : tuple of str
        Names of the classes.
    side : str
        ``"train"``, ``"val"`` or ``"test"``.
    n_keys : int
        Number of values before the label: image, or image and object.

    Returns
    -------
    keys : list of tuple of str
        What the rows are of.
    labels : numpy.ndarray
        ``(n_rows, n_classes)`` int8 of 1, -1 and 0.

    Raises
    ------
    DataError
        A file is missing, or lists other rows than the first one does.
    """
    keys: list[tuple[str, ...]] = []
    columns: list[IntArray] = []
    for name in classes:
        file = lists / f"{name}_{side}.txt"
        rows = read_columns(file, n_keys + 1)
        found = [tuple(row[:n_keys]) for row in rows]
        keys = keys if columns else found
        if found != keys:
            raise DataError(
                f"{file} lists other images than {classes[0]}_{side}.txt; unpack the archive anew"
            )
        columns.append(np.array([_label(file, row[n_keys]) for row in rows], dtype=np.int8))
    return keys, np.stack(columns, axis=1)


def _label(file: Path, text: str) -> int:
    if text not in _LABELS:
        raise DataError(
            f"{file}: found the label {text[:40]!r}, expected 1, 0 or -1; unpack the archive anew"
        )
    return _LABELS[text]
