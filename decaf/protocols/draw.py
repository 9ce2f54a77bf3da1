"""Draw rows class by class: who trains, who tests, who chooses C.

Everything here works on *strata*: one array of row numbers per class, in drawn order. Taking from
the front of a stratum keeps smaller training sets inside larger ones of the same seed.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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
        A table with several labels an image.
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
                    f"class '{name}' of {dataset.name} has {len(candidates)} images of label "
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


def hold_out(
    groups: Strata, share: float, labels: IntArray
) -> tuple[tuple[IntArray, IntArray], ...]:
    """Hold out the last rows of each stratum, once.

    Of rows with several labels, those are held out that leave every label on both sides, as far
    as there are rows for it; a label of a single row trains.

    Parameters
    ----------
    groups : list of numpy.ndarray
        Rows by class, or a single stratum of rows with several labels, in drawn order.
    share : float
        Of each stratum.
    labels : numpy.ndarray
        The data set's.

    Returns
    -------
    tuple of (numpy.ndarray, numpy.ndarray)
        One ``(fit, validation)`` pair; none where every class has a single row.
    """
    if labels.ndim == 2:
        rows = np.concatenate(groups)
        parts = spread(labels[rows], [1 - share, share])
        pairs = [_trainable(rows[parts == 0], rows[parts == 1], labels)]
    else:
        fit, held_out = cut(groups, share)
        pairs = [(joined(fit), joined(held_out))]
    return tuple(pair for pair in pairs if len(pair[1]))


def fold(groups: Strata, index: int, n_folds: int) -> tuple[IntArray, IntArray]:
    """Return the rows outside and inside one of `n_folds` stratified folds.

    Row ``j`` of class ``c`` is in fold ``(j + c) % n_folds``, so that folds are of even size.
    """
    inside = [
        (np.arange(len(group)) + number) % n_folds == index for number, group in enumerate(groups)
    ]
    pairs = list(zip(groups, inside, strict=True))
    return joined([g[~mask] for g, mask in pairs]), joined([g[mask] for g, mask in pairs])


def folds(groups: Strata, n_folds: int, labels: IntArray) -> tuple[tuple[IntArray, IntArray], ...]:
    """Return ``(fit, validation)`` pairs, with fewer folds where a class has fewer rows.

    Rows with several labels are spread so that each fold has its share of every label; a row that
    alone would leave a label without any in `fit` is not held out.
    """
    n_folds = min([n_folds, *(len(group) for group in groups if len(group))])
    if n_folds < 2:
        return ()
    if labels.ndim == 1:
        return tuple(fold(groups, i, n_folds) for i in range(n_folds))
    rows = np.concatenate(groups)
    parts = spread(labels[rows], [1 / n_folds] * n_folds)
    pairs = [_trainable(rows[parts != i], rows[parts == i], labels) for i in range(n_folds)]
    return tuple(pair for pair in pairs if len(pair[1]))


def spread(labels: IntArray, shares: Sequence[float]) -> IntArray:
    """Deal rows with several labels out to parts, so that each part has its share of each label.

    The rarest label's rows are dealt out first, each to the part that wants most of it [1]_. What
    is rare may also be the absence of a label. A label of several rows is wanted by every part.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n, n_classes)`` of 1, -1 and 0, in drawn order.
    shares : sequence of float
        Of each part; they add up to 1.

    Returns
    -------
    numpy.ndarray
        ``(n,)`` number of each row's part.

    References
    ----------
    .. [1] Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, ECML PKDD
       2011, algorithm 1.
    """
    rare = _rare(labels)
    counts = rare.sum(axis=0)
    wanted = np.outer(shares, counts)
    several = counts >= len(shares)
    wanted[:, several] = np.maximum(wanted[:, several], 1)
    largest = wanted.argmax(axis=0), np.arange(len(counts))
    wanted[largest] += counts - wanted.sum(axis=0)
    space = np.outer(shares, [len(labels)])[:, 0]
    part = np.full(len(labels), -1, np.int64)
    for _ in range(rare.shape[1] + 1):
        left = rare & (part < 0)[:, None]
        n_left = left.sum(axis=0)
        if not n_left.any():
            break
        label = int(np.where(n_left > 0, n_left, len(labels) + 1).argmin())
        for row in np.flatnonzero(left[:, label]):
            part[row] = best = np.lexsort((-space, -wanted[:, label]))[0]
            wanted[best, rare[row]] -= 1
            space[best] -= 1
    for row in np.flatnonzero(part < 0):
        part[row] = best = space.argmax()
        space[best] -= 1
    return part


def _rare(labels: IntArray) -> npt.NDArray[np.bool_]:
    """Return where a row has the rarer sign of a class: mostly that it is present."""
    positive, negative = labels > 0, labels < 0
    return np.where(positive.sum(axis=0) <= negative.sum(axis=0), positive, negative)


def _trainable(fit: IntArray, held_out: IntArray, labels: IntArray) -> tuple[IntArray, IntArray]:
    """Take back what a label needs to be trained: a row where all that have it are held out."""
    rare = _rare(labels[np.concatenate([fit, held_out])])
    inside, outside = rare[: len(fit)], rare[len(fit) :]
    needed = [
        int(outside[:, label].argmax())
        for label in np.flatnonzero(outside.any(axis=0) & ~inside.any(axis=0))
    ]
    back = np.isin(np.arange(len(held_out)), needed)
    return np.sort(np.concatenate([fit, held_out[back]])), np.sort(held_out[~back])


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
            f"{why} needs {n} usable images a class; class '{dataset.class_names[c]}' of "
            f"{dataset.name} has {counts[c]} ({len(short)} of {len(counts)} classes have too few); "
            "ask for fewer or add images"
        )
