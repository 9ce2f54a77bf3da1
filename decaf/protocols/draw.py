"""Draw rows class by class: who trains, who tests, who chooses C.

Everything here works on *strata*: one array of row numbers per class, in drawn order. Taking from
the front of a stratum keeps smaller training sets inside larger ones of the same seed.
"""

from collections.abc import Sequence

import numpy as np

from decaf.errors import DataError
from decaf.types import ImageDataset, IntArray

Strata = list[IntArray]


def strata(dataset: ImageDataset, rows: IntArray, rng: np.random.Generator) -> Strata:
    """Shuffle the rows of each class; rows with several labels form a single stratum.

    Parameters
    ----------
    dataset : ImageDataset
        The table that `rows` belong to.
    rows : numpy.ndarray
        Sorted row numbers.
    rng : numpy.random.Generator
        Shuffles class 0 first, then class 1, and so on.

    Returns
    -------
    list of numpy.ndarray
        One array per class number, empty where `rows` hold none of it.
    """
    if dataset.labels.ndim == 2:
        return [rng.permutation(rows)]
    labels = dataset.labels[rows]
    return [rng.permutation(rows[labels == c]) for c in range(len(dataset.class_names))]


def low_shot(
    dataset: ImageDataset, rows: IntArray, shots: int, rng: np.random.Generator
) -> IntArray:
    """Draw positives and 19 times as many negatives of each class, by itself.

    Parameters
    ----------
    dataset : ImageDataset
        A table with several labels a picture.
    rows : numpy.ndarray
        Sorted row numbers to draw from.
    shots : int
        Positives of each class.
    rng : numpy.random.Generator
        Shuffles the positives of class 0 first, then its negatives, then class 1.

    Returns
    -------
    numpy.ndarray
        ``(n_images, n_classes)`` int8 of 1 and -1 where drawn for that class, else 0.

    Raises
    ------
    DataError
        A class has too few of either.

    References
    ----------
    Goyal et al., arXiv 1905.01235; ``facebookresearch/fair_self_supervision_benchmark``.
    """
    drawn = np.zeros(dataset.labels.shape, np.int8)
    for number, name in enumerate(dataset.class_names):
        for sign, count in ((1, shots), (-1, 19 * shots)):
            candidates = rows[dataset.labels[rows, number] == sign]
            if len(candidates) < count:
                raise DataError(
                    f"class '{name}' of {dataset.name} has {len(candidates)} pictures of label "
                    f"{sign} to train, needs {count}; ask for fewer shots"
                )
            drawn[rng.permutation(candidates)[:count], number] = sign
    return drawn


def joined(parts: Sequence[IntArray]) -> IntArray:
    """Return all rows of some strata, sorted."""
    return np.sort(np.concatenate([np.empty(0, np.int64), *parts])).astype(np.int64)


def cut(groups: Strata, share: float) -> tuple[Strata, Strata]:
    """Cut the last share off each stratum: at least one row, at most all but one."""
    ends = [min(max(round(share * len(g)), 1), len(g) - 1) if len(g) else 0 for g in groups]
    starts = [len(g) - end for g, end in zip(groups, ends, strict=True)]
    return (
        [g[:start] for g, start in zip(groups, starts, strict=True)],
        [g[start:] for g, start in zip(groups, starts, strict=True)],
    )


def hold_out(groups: Strata, share: float) -> tuple[tuple[IntArray, IntArray], ...]:
    """Hold out the last rows of each stratum, once.

    Returns
    -------
    tuple of (numpy.ndarray, numpy.ndarray)
        One ``(fit, validation)`` pair; none where every class has a single row.
    """
    fit, validation = map(joined, cut(groups, share))
    return ((fit, validation),) if len(validation) else ()


def fold(groups: Strata, index: int, n_folds: int) -> tuple[IntArray, IntArray]:
    """Return the rows outside and inside one of `n_folds` stratified folds.

    Row ``j`` of class ``c`` is in fold ``(j + c) % n_folds``, so that folds are of even size.
    """
    inside = [
        (np.arange(len(group)) + number) % n_folds == index for number, group in enumerate(groups)
    ]
    pairs = list(zip(groups, inside, strict=True))
    return joined([g[~mask] for g, mask in pairs]), joined([g[mask] for g, mask in pairs])


def folds(groups: Strata, n_folds: int) -> tuple[tuple[IntArray, IntArray], ...]:
    """Return ``(fit, validation)`` pairs, with fewer folds where a class has fewer rows."""
    n_folds = min([n_folds, *(len(group) for group in groups if len(group))])
    return tuple(fold(groups, i, n_folds) for i in range(n_folds)) if n_folds > 1 else ()


def require(dataset: ImageDataset, groups: Strata, skip: Sequence[int], n: int, why: str) -> None:
    """Check that every class has at least `n` rows.

    Raises
    ------
    DataError
        Naming the class with the fewest rows.
    """
    if dataset.labels.ndim == 2:
        return
    counts = {c: len(group) for c, group in enumerate(groups) if c not in skip}
    short = [c for c in counts if counts[c] < n]
    if short:
        c = min(short, key=counts.__getitem__)
        raise DataError(
            f"{why} needs {n} usable pictures a class; class '{dataset.class_names[c]}' of "
            f"{dataset.name} has {counts[c]} ({len(short)} of {len(counts)} classes have too few); "
            "ask for fewer or add pictures"
        )
