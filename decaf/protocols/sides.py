"""The sides of official splits: the one place that says which of them train, and which tests."""

import numpy as np
import numpy.typing as npt

from decaf.errors import DataError
from decaf.types import ImageDataset, IntArray

TRAIN, VAL, TEST = 1, 2, 3  # codes of ImageDataset.official


def sides(dataset: ImageDataset, index: int = 0) -> tuple[tuple[int, ...], int]:
    """Return the sides that train in an official split, and the one that tests.

    The validation side trains too, except where there is no labelled test side, as in VOC 2012:
    there it is the test.

    Parameters
    ----------
    dataset : ImageDataset
        A table with official splits.
    index : int
        Which of them.

    Returns
    -------
    tuple of int
        Codes of the sides that train.
    int
        Code of the side that tests.
    """
    has_test = dataset.official is not None and TEST in dataset.official[:, index]
    return ((TRAIN, VAL), TEST) if has_test else ((TRAIN,), VAL)


def training_rows(dataset: ImageDataset, usable: npt.NDArray[np.bool_]) -> IntArray:
    """Return the rows that a model to keep trains on.

    Parameters
    ----------
    dataset : ImageDataset
        The table.
    usable : numpy.ndarray
        ``(n_images,)`` bool; other rows are left out.

    Returns
    -------
    numpy.ndarray
        Sorted row numbers: those that train in the first official split, all where there is none.

    Raises
    ------
    DataError
        If a class has none.
    """
    if dataset.official is not None:
        usable = usable & np.isin(dataset.official[:, 0], sides(dataset)[0])
    rows = np.flatnonzero(usable)
    if dataset.labels.ndim == 1:
        counts = np.bincount(dataset.labels[rows], minlength=len(dataset.class_names))
        if not counts.all():
            raise DataError(
                f"class '{dataset.class_names[int(counts.argmin())]}' of {dataset.name} has no "
                "usable image to train on; add some or remove the class"
            )
    return rows
