"""The sides of official splits: the one place that says which of them train, and which tests."""

from collections import Counter

import numpy as np
import numpy.typing as npt

from decaf.errors import DataError
from decaf.escapes import visible
from decaf.types import ImageDataset, IntArray

TRAIN, VAL, TEST = 1, 2, 3  # codes of ImageDataset.official
_N_NAMED = 3


def sides(dataset: ImageDataset, index: int = 0) -> tuple[tuple[int, ...], int]:
    """Return the sides that train in an official split, and the one that tests.

    The validation side trains too, except where there is no labelled test side, as in VOC 2012:
    there it is the test.
    """
    has_test = dataset.official is not None and TEST in dataset.official[:, index]
    return ((TRAIN, VAL), TEST) if has_test else ((TRAIN,), VAL)


def refuse_broken_groups(dataset: ImageDataset, what: str, one: IntArray, other: IntArray) -> None:
    """Refuse a given split whose sides share a group.

    Parameters
    ----------
    dataset : ImageDataset
        The table; nothing is refused if it has no groups.
    what : str
        What to call the split.
    one, other : numpy.ndarray
        Row numbers of the two sides.

    Raises
    ------
    DataError
        Naming groups that are on both sides, with the counts of their images.
    """
    if dataset.groups is None:
        return
    first, second = (Counter(dataset.groups[row] for row in side.tolist()) for side in (one, other))
    broken = sorted(first.keys() & second.keys())
    if broken:
        named = ", ".join(
            f"{visible(name)[:80]} ({first[name]} and {second[name]} images)"
            for name in broken[:_N_NAMED]
        )
        more = f" and {len(broken) - _N_NAMED} more" if len(broken) > _N_NAMED else ""
        raise DataError(
            f"{what} of {dataset.name} has {len(broken)} of {len(first.keys() | second.keys())} "
            f"groups on both of its sides: {named}{more}; correct the split, or leave out the "
            "groups"
        )


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
        If a class has none, or the split breaks a group.
    """
    rows = np.flatnonzero(usable)
    if dataset.official is not None:
        side, (train_sides, test_side) = dataset.official[:, 0], sides(dataset)
        rows = np.flatnonzero(usable & np.isin(side, train_sides))
        tested = np.flatnonzero(usable & (side == test_side))
        refuse_broken_groups(dataset, "the official split", rows, tested)
    if dataset.labels.ndim == 1:
        counts = np.bincount(dataset.labels[rows], minlength=len(dataset.class_names))
        if not counts.all():
            raise DataError(
                f"class '{dataset.class_names[int(counts.argmin())]}' of {dataset.name} has no "
                "usable image to train on; add some or remove the class"
            )
    return rows
