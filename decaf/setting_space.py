"""A space of settings, the ones of it that are tried, and the halving of those that are left."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from typing import get_args

import numpy as np

from decaf.choices import Normalize, check_choice, check_pool
from decaf.errors import ConfigError
from decaf.records import words
from decaf.types import IntArray, Split

EXHAUSTIVE = 200
"""With no more settings than that, all are tried on all rows."""

SHARES = (0.25, 0.5, 1.0)
"""Shares of the training rows that drawn settings are tried on, one after another."""


@dataclass(frozen=True)
class Setting:
    """What is searched: one way from an image to its scores, but for C.

    Attributes
    ----------
    layer, pool, normalize, head : str
        As in a result.
    """

    layer: str
    pool: str
    normalize: str
    head: str

    def __str__(self) -> str:
        pool = "" if self.pool == "none" else f" {self.pool}"
        return f"{self.layer}{pool}, {self.normalize}, {self.head}"


def read_space(
    text: str, defaults: Mapping[str, Sequence[str]], heads: Sequence[str]
) -> list[Setting]:
    """Return the settings of a space.

    Parameters
    ----------
    text : str
        ``layer=pool5,fc6; pool=avg,grid:2; normalize=none,l2; head=svm,logreg``.
    defaults : mapping of str to sequence of str
        The values of what the text does not name.
    heads : sequence of str
        The heads that there are; the first where the text names none.

    Returns
    -------
    list of Setting
        All combinations, the last named varying fastest.

    Raises
    ------
    ConfigError
        If the text cannot be read, or a value is not known.
    """
    known = [one.name for one in fields(Setting)]
    values = {"head": heads[:1], **defaults}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        name, equals, said = part.partition("=")
        check_choice("part of a space", name.strip(), known)
        values[name.strip()] = words(said) if equals else ()
        if not values[name.strip()] or not all(values[name.strip()]):
            raise ConfigError(f"asked for the space {part!r}, found no value; give NAME=A,B")
    for pool in values["pool"]:
        check_pool(pool)
    for normalize in values["normalize"]:
        check_choice("normalize", normalize, get_args(Normalize))
    for head in values["head"]:
        check_choice("head", head, heads)
    return [Setting(*one) for one in product(*(values[name] for name in known))]


def tried(settings: Sequence[Setting], n_trials: int, seed: int) -> list[Setting]:
    """Return the settings to try: all, or so many drawn at random, in their order.

    Parameters
    ----------
    settings : sequence of Setting
        The whole space.
    n_trials : int
        How many to draw of more than `EXHAUSTIVE`. With 60 one of the best twentieth is among
        them with a probability of 1 - 0.95^60 = 0.954.
    seed : int
        Of the draw.
    """
    if len(settings) <= EXHAUSTIVE:
        return list(settings)
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(settings), min(n_trials, len(settings)), replace=False)
    return [settings[i] for i in sorted(drawn.tolist())]


def halved(
    settings: Sequence[Setting],
    n_splits: int,
    score: Callable[[Setting, int, float], float],
    *,
    shares: Sequence[float],
) -> list[list[tuple[Setting, float]]]:
    """Return the settings that are left in each split with their scores, best first.

    Parameters
    ----------
    settings : sequence of Setting
        What is tried on the first share of the rows.
    n_splits : int
        Number of splits; each keeps its own settings.
    score : callable
        ``score(setting, split, share)``, more is better, from training rows alone; asked setting
        by setting. nan is the worst.
    shares : sequence of float
        After each but the last, the better half is kept.

    Returns
    -------
    list of list of (Setting, float)
        Of equal scores the setting that comes first is the better one.
    """
    left = [list(settings) for _ in range(n_splits)]
    ranked: list[list[tuple[Setting, float]]] = []
    for share in shares:
        found: list[list[tuple[Setting, float]]] = [[] for _ in left]
        for setting in settings:
            for split, kept in enumerate(left):
                if setting in kept:
                    found[split].append((setting, score(setting, split, share)))
        ranked = [sorted(one, key=lambda pair: _badness(pair[1])) for one in found]
        left = [[s for s, _ in one[: math.ceil(len(one) / 2)]] for one in ranked]
    return ranked


def _badness(score: float) -> float:
    return math.inf if math.isnan(score) else -score


def fewer_rows(split: Split, labels: IntArray, share: float) -> Split:
    """Return a split with a share of its training rows: of each class, in each part of each fold.

    Parameters
    ----------
    split : Split
        The split, with its folds.
    labels : numpy.ndarray
        The data set's.
    share : float
        Of the rows; one is left of each class and part at least.
    """
    if share >= 1:
        return split
    rng = np.random.default_rng(split.seed)
    cells = _cells(split, labels)
    some = [rng.permutation(rows)[: math.ceil(share * len(rows))] for rows in cells]
    kept = np.sort(np.concatenate(some))
    inner = tuple((np.intersect1d(a, kept), np.intersect1d(b, kept)) for a, b in split.inner)
    of = None if split.labels is None else split.labels[np.searchsorted(split.train, kept)]
    return replace(split, train=kept, inner=inner, labels=of)


def _cells(split: Split, labels: IntArray) -> Iterator[IntArray]:
    held_out = np.stack([np.isin(split.train, rows) for _, rows in split.inner], axis=1)
    one = labels[split.train] if labels.ndim == 1 else np.zeros(len(split.train), np.int64)
    cells = np.column_stack([one, held_out])
    _, number = np.unique(cells, axis=0, return_inverse=True)
    for cell in range(number.max() + 1):
        yield split.train[number == cell]
