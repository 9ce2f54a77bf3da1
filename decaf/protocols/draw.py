"""Draw rows: who trains, who tests, who chooses C.

Everything here works on `Strata`. Where a table has groups, a group is on one side of whatever is
drawn: `spread` deals out whole groups, and `deal_shots` tests no group that trains.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from decaf.errors import DataError
from decaf.types import ImageDataset, IntArray

Pair = tuple[IntArray, IntArray]


@dataclass(frozen=True, eq=False)
class Strata:
    """Rows by class, in drawn order.

    Taking from the front of each class keeps smaller training sets inside larger ones of the same
    seed.

    Attributes
    ----------
    classes : list of numpy.ndarray
        Row numbers of each class, empty where there are none; of rows with several labels, all as
        if they were of one class.
    labels : numpy.ndarray
        The data set's.
    groups : numpy.ndarray or None
        ``(n_images,)`` place of each row's group in the drawn order of groups.
    """

    classes: list[IntArray]
    labels: IntArray
    groups: IntArray | None = None

    @property
    def rows(self) -> IntArray:
        """All rows, class after class."""
        return np.concatenate(self.classes)

    @property
    def by_class(self) -> bool:
        """Whether each class is parted by itself, row by row."""
        return self.groups is None and self.labels.ndim == 1

    @property
    def counts(self) -> list[int]:
        """How much of each class can be parted: its rows, or their groups."""
        if self.groups is None:
            return [len(rows) for rows in self.classes]
        return [len(np.unique(self.groups[rows])) for rows in self.classes]

    def only(self, rows: IntArray) -> "Strata":
        """Return some of the rows, in their order."""
        return replace(self, classes=[one[np.isin(one, rows)] for one in self.classes])

    def first(self, n: int | None) -> "Strata":
        """Return the first `n` rows of each class."""
        return replace(self, classes=[one[:n] for one in self.classes])

    def share(self, share: float | None) -> "Strata":
        """Return the first rows of each class, a share of them and one at least."""
        if share is None:
            return self
        return replace(
            self, classes=[one[: max(round(share * len(one)), 1)] for one in self.classes]
        )


def strata(dataset: ImageDataset, rows: IntArray, rng: np.random.Generator) -> Strata:
    """Shuffle the rows of each class, then the groups.

    Parameters
    ----------
    dataset : ImageDataset
        The table that `rows` belong to.
    rows : numpy.ndarray
        Sorted row numbers.
    rng : numpy.random.Generator
        Shuffles class 0 first, then class 1, and so on; last the groups of the whole table, which
        are numbered as they come in it. Rows with several labels are shuffled as one class.
    """
    labels, places = dataset.labels[rows], None
    if labels.ndim == 2:
        classes = [rng.permutation(rows)]
    else:
        classes = [rng.permutation(rows[labels == c]) for c in range(len(dataset.class_names))]
    if dataset.groups is not None:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(dataset.groups))}
        places = rng.permutation(len(numbers))[[numbers[name] for name in dataset.groups]]
    return Strata(classes, _to_balance(dataset), places)


def _to_balance(dataset: ImageDataset) -> IntArray:
    """Return the labels of which each side gets its share; numbers are none."""
    if dataset.label_kind == "number":
        return np.empty((len(dataset.labels), 0), np.int8)
    return dataset.labels


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


def hold_out(drawn: Strata, share: float) -> tuple[Pair, ...]:
    """Hold out a share of the rows, once.

    Of each class the last rows are held out, at least one and at most all but one. Rows with
    several labels, and groups, are dealt out by `spread`; of those held out, a row (with its
    group) is taken back where a class or label would have none to train on.

    Returns
    -------
    tuple of (numpy.ndarray, numpy.ndarray)
        One ``(fit, validation)`` pair of sorted rows; none where nothing can be held out.
    """
    if drawn.by_class:
        ends = [min(max(round(share * len(g)), 1), max(len(g) - 1, 0)) for g in drawn.classes]
        part = np.concatenate(
            [np.arange(len(g)) >= len(g) - n for g, n in zip(drawn.classes, ends, strict=True)]
        )
    else:
        part = _dealt(drawn, [1 - share, share])
    pair = _trainable(drawn, part == 1)
    return (pair,) if len(pair[1]) else ()


def all_folds(drawn: Strata, n_folds: int) -> list[Pair]:
    """Return the rows outside and inside of each stratified fold, sorted.

    Row ``j`` of class ``c`` is in fold ``(j + c) % n_folds``, so that folds are of even size. Rows
    with several labels, and groups, are dealt out by `spread`, and one that alone would leave a
    class or label without any outside is taken back, as in `hold_out`.
    """
    if drawn.by_class:
        part = np.concatenate(
            [(np.arange(len(rows)) + c) % n_folds for c, rows in enumerate(drawn.classes)]
        )
    else:
        part = _dealt(drawn, [1 / n_folds] * n_folds)
    return [_trainable(drawn, part == i) for i in range(n_folds)]


def folds(drawn: Strata, n_folds: int) -> tuple[Pair, ...]:
    """Return ``(fit, validation)`` pairs, with fewer folds where there are fewer rows or groups.

    There are no more folds than rows of any class; of rows with several labels, or groups, no more
    than there are of these in all.
    """
    whole = replace(drawn, classes=[drawn.rows])
    n_folds = min([n_folds, *(n for n in (drawn if drawn.by_class else whole).counts if n)])
    return tuple(pair for pair in all_folds(drawn, n_folds) if len(pair[1])) if n_folds > 1 else ()


def deal_shots(drawn: Strata, shots: int) -> tuple[Strata, Strata]:
    """Return the first `shots` rows of each class, and those that are left to test.

    With groups, a class takes the rows of the group drawn first, then of the next, without the
    groups of :func:`kept_to_test`; no row of a group that trains is left to test.
    """
    if drawn.groups is None:
        rest = [rows[shots:] for rows in drawn.classes]
        return drawn.first(shots), replace(drawn, classes=rest)
    of, kept = drawn.groups, kept_to_test(drawn)
    free = [rows[~np.isin(of[rows], kept)] for rows in drawn.classes]
    train = [rows[np.argsort(of[rows], kind="stable")][:shots] for rows in free]
    trained = of[joined(train)]
    rest = [rows[~np.isin(of[rows], trained)] for rows in drawn.classes]
    return replace(drawn, classes=train), replace(drawn, classes=rest)


def most_shots(drawn: Strata) -> list[int]:
    """Return how many rows of each class can train as shots while others of it test."""
    if drawn.groups is None:
        return [max(count - 1, 0) for count in drawn.counts]
    of, kept = drawn.groups, kept_to_test(drawn)
    return [int(np.count_nonzero(~np.isin(of[rows], kept))) for rows in drawn.classes]


def kept_to_test(drawn: Strata) -> IntArray:
    """Return groups that shots do not touch, so that each class has some to test.

    The class of the fewest groups comes first; a class of which no group is kept yet keeps the
    one of the fewest rows, of equal ones the one drawn last.
    """
    if drawn.groups is None:
        return np.empty(0, np.int64)
    sizes, counts = np.bincount(drawn.groups[drawn.rows]), drawn.counts
    kept: list[int] = []
    for number in sorted(range(len(counts)), key=counts.__getitem__):
        own = np.unique(drawn.groups[drawn.classes[number]])
        if len(own) and not np.isin(own, kept).any():
            kept.append(int(own[np.lexsort((-own, sizes[own]))[0]]))
    return np.array(kept, np.int64)


def _dealt(drawn: Strata, shares: Sequence[float]) -> IntArray:
    rows = drawn.rows
    return spread(drawn.labels[rows], shares, None if drawn.groups is None else drawn.groups[rows])


def spread(labels: IntArray, shares: Sequence[float], groups: IntArray | None = None) -> IntArray:
    """Deal rows, or groups of rows, out to parts, so that each part has its share of each label.

    The rarest label's rows are dealt out first, each to the part that wants most of it [1]_. What
    is rare may also be the absence of a label. A label of several rows is wanted by every part.
    Groups are dealt out whole, in their drawn order, each to the part that lacks the largest share
    of what it wanted; so of groups that hold one class each, no part gets more of a class than its
    share and the rows of one group.

    Parameters
    ----------
    labels : numpy.ndarray
        ``(n, n_classes)`` of 1, -1 and 0, or ``(n,)`` class numbers, in drawn order.
    shares : sequence of float
        Of each part; they add up to 1.
    groups : numpy.ndarray, optional
        ``(n,)`` place of each row's group in the drawn order of groups.

    Returns
    -------
    numpy.ndarray
        ``(n,)`` number of each row's part.

    References
    ----------
    .. [1] Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label data, ECML PKDD
       2011, algorithm 1.
    """
    unit = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(unit)
    held = _held(labels, unit, len(sizes))
    left = held.sum(axis=0)
    wanted = np.outer(shares, left)
    several = (held > 0).sum(axis=0) >= len(shares)
    wanted[:, several] = np.maximum(wanted[:, several], 1)
    largest = wanted.argmax(axis=0), np.arange(len(left))
    wanted[largest] += left - wanted.sum(axis=0)
    space = np.outer(shares, [len(labels)])[:, 0]
    whole = np.ones_like(wanted) if groups is None else np.maximum(wanted, 1e-9)
    part = np.full(len(sizes), -1, np.int64)
    while left.any():
        label = int(np.where(left > 0, left, len(labels) + 1).argmin())
        dealt = np.flatnonzero((held[:, label] > 0) & (part < 0))
        for one in dealt:
            part[one] = best = np.lexsort((-space, -wanted[:, label] / whole[:, label]))[0]
            wanted[best] -= held[one]
            space[best] -= sizes[one]
        left -= held[dealt].sum(axis=0)
    for one in np.flatnonzero(part < 0):
        part[one] = best = space.argmax()
        space[best] -= sizes[one]
    return part[unit]


def _held(labels: IntArray, unit: IntArray, n_units: int) -> IntArray:
    """Return how many rows of each label each unit holds, ``(n_units, n_labels)``."""
    if labels.ndim == 2:
        held = np.zeros((n_units, labels.shape[1]), np.int32)
        np.add.at(held, unit, _rare(labels))
        return held
    found, number = np.unique(labels, return_inverse=True)
    held = np.zeros((n_units, len(found)), np.int32)
    np.add.at(held, (unit, number), 1)
    return held


def _rare(labels: IntArray) -> npt.NDArray[np.bool_]:
    """Return where a row has the rarer sign of a class: mostly that it is present."""
    positive, negative = labels > 0, labels < 0
    return np.where(positive.sum(axis=0) <= negative.sum(axis=0), positive, negative)


def _trainable(drawn: Strata, held_out: npt.NDArray[np.bool_]) -> Pair:
    """Part the rows; take back what a label needs to be trained where all of it is held out."""
    rows = drawn.rows
    fit, held = rows[~held_out], rows[held_out]
    if drawn.labels.ndim == 1:
        found, first = np.unique(drawn.labels[held], return_index=True)
        needed = held[first[~np.isin(found, drawn.labels[fit])]]
    else:
        rare = _rare(drawn.labels[rows])
        inside, outside = rare[~held_out], rare[held_out]
        lacking = np.flatnonzero(outside.any(axis=0) & ~inside.any(axis=0))
        needed = held[outside[:, lacking].argmax(axis=0)] if len(lacking) else held[:0]
    if drawn.groups is None:
        back = np.isin(held, needed)
    else:
        back = np.isin(drawn.groups[held], drawn.groups[needed])
    return joined([fit, held[back]]), np.sort(held[~back])


def require(
    dataset: ImageDataset, counts: Sequence[int], skip: Sequence[int], n: int, why: str
) -> None:
    """Check that every class has at least `n` of what is counted.

    Parameters
    ----------
    dataset : ImageDataset
        The table.
    counts : sequence of int
        Of each class; of rows with several labels, of all together.
    skip : sequence of int
        Classes that need none.
    n : int
        The least.
    why : str
        What needs them, and of what: ``protocol kfold with 5 folds needs 5 usable images``.

    Raises
    ------
    DataError
        Naming the class with the fewest.
    """
    found = {c: count for c, count in enumerate(counts) if c not in skip}
    short = [c for c in found if found[c] < n]
    if not short:
        return
    c = min(short, key=found.__getitem__)
    if dataset.labels.ndim == 2:
        raise DataError(f"{why}; {dataset.name} has {found[c]}; ask for fewer or add images")
    raise DataError(
        f"{why} a class; class '{dataset.class_names[c]}' of {dataset.name} has {found[c]} "
        f"({len(short)} of {len(found)} classes have too few); ask for fewer or add images"
    )
