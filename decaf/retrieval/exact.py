"""The nearest rows, exactly, by blocked matrix products: any number of rows in bounded memory.

A product in float32 tells which rows may be among the nearest, for it errs by no more than a known
bound. The distances of these few are then computed in float64 from the rows themselves, so neither
blocks nor device nor the order of a sum decide what is found.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from decaf.choices import Distance, checked
from decaf.device import find_device
from decaf.errors import ConfigError
from decaf.types import FloatArray, IntArray

_BLOCK_VALUES = 2**23
"""Numbers of one block of rows, and of its products with a block of queries."""
_CACHED_VALUES = 2**18
"""Numbers of the rows that a core still holds when it has multiplied them."""
_FEW_QUERIES = 8
"""Queries whose products are too small for torch to share out among its threads."""
_QUERY_VALUES = 2**26
"""Numbers of the queries for which the rows are read once."""
_RUN = 64
"""Rows whose highest product is looked at first."""
_UNIT_ROUNDOFF = 2.0**-24
_TOO_LARGE = 1e30
"""Where sums of squares of float32 overflow, or nearly."""


class RowBlocks(Protocol):
    """Rows of features that are sliced like a numpy array: one, or a layer of a store."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_rows, n_features)`` or ``(n_rows, n_views, n_features)``."""

    def __getitem__(self, key: Any, /) -> FloatArray:
        """Return some of the rows."""


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest rows of each query, nearest first, and of equal distance the lower row first.

    Attributes
    ----------
    rows : numpy.ndarray
        ``(n_queries, k)`` int64 row numbers.
    distances : numpy.ndarray
        ``(n_queries, k)`` float64: Euclidean, or one minus the cosine.
    """

    rows: IntArray
    distances: FloatArray

    def without(self, rows: IntArray) -> "Neighbours":
        """Return all but one of each query's neighbours: a row of its own, or else the last.

        Parameters
        ----------
        rows : numpy.ndarray
            ``(n_queries,)`` the row that each query leaves out.
        """
        n, k = self.rows.shape
        own = self.rows == rows[:, None]
        own[~own.any(1), -1] = True
        return Neighbours(self.rows[~own].reshape(n, k - 1), self.distances[~own].reshape(n, k - 1))


@checked
def nearest(
    queries: FloatArray,
    base: RowBlocks,
    k: int = 10,
    metric: Distance = "cosine",
    *,
    rows: IntArray | None = None,
    device: str = "cpu",
) -> Neighbours:
    """Find the nearest rows of each query.

    Parameters
    ----------
    queries : numpy.ndarray
        ``(n_queries, n_features)``.
    base : RowBlocks
        Where to look; of several views of a row the mean counts.
    k : int
        How many for each query; all where there are fewer.
    metric : {"cosine", "l2"}
        One minus the cosine (1 where a row is zero), or the Euclidean distance.
    rows : numpy.ndarray, optional
        Ascending numbers of the rows of `base` that count; all if not given.
    device : str
        Where the products are computed; as for `decaf.device.find_device`.

    Returns
    -------
    Neighbours
        Rows of `base`.

    Raises
    ------
    ConfigError
        If `k` is less than 1, or the queries have another number of features.
    """
    rows = np.arange(base.shape[0]) if rows is None else rows
    if k < 1 or queries.ndim != 2 or queries.shape[1] != base.shape[-1]:
        raise ConfigError(
            f"asked for {k} neighbours of queries of shape {queries.shape} among rows of "
            f"{base.shape[-1]} features; give 1 or more, and queries of as many features"
        )
    k = min(k, len(rows))
    step = max(1, _QUERY_VALUES // queries.shape[1])
    parts = [
        _nearest(queries[first : first + step], base, rows, _Rule(k, metric, find_device(device)))
        for first in range(0, max(1, len(queries)), step)
    ]
    return Neighbours(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.distances for part in parts]),
    )


def nearest_of(
    queries: FloatArray, base: RowBlocks, candidates: IntArray, k: int, metric: Distance = "cosine"
) -> Neighbours:
    """Find the nearest of a few rows of each query, by their exact distances.

    Parameters
    ----------
    queries : numpy.ndarray
        ``(n_queries, n_features)``.
    base : RowBlocks
        The rows.
    candidates : numpy.ndarray
        ``(n_queries, n)`` rows of `base`, those of a query all different; -1 is none.
    k : int
        How many for each query; all where there are fewer.
    metric : {"cosine", "l2"}
        As for `nearest`.

    Returns
    -------
    Neighbours
        Rows of `base`; -1, at an infinite distance, where there are too few.
    """
    rule, n = _Rule(k, metric, torch.device("cpu")), candidates.shape[1]
    wanted, at = np.unique(candidates.clip(0).ravel(), return_inverse=True)
    X = np.concatenate([block for _, block in blocks_of(base, wanted)])
    keys = np.stack(
        [
            rule.keys(np.broadcast_to(query, (n, len(query))), X[some])
            for query, some in zip(queries, at.reshape(-1, n), strict=True)
        ]
    )
    keys[candidates < 0] = np.inf
    order = np.lexsort((candidates, keys))[:, :k]
    keys = np.take_along_axis(keys, order, 1)
    distances = np.sqrt(keys) if metric == "l2" else keys
    return Neighbours(np.take_along_axis(candidates, order, 1), distances)


def unit_rows(X: FloatArray) -> FloatArray:
    """Return rows divided by their Euclidean norms; zero rows stay zero.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_rows, n_features)``.

    Returns
    -------
    numpy.ndarray
        The same in float32.
    """
    norms = np.linalg.norm(X.astype(np.float64), axis=1, keepdims=True)  # squares may overflow
    unit: FloatArray = (X / np.where(norms > 0, norms, 1)).astype(np.float32)
    return unit


def blocks_of(
    base: RowBlocks, rows: IntArray, n_values: int = _BLOCK_VALUES
) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield rows block after block, with their numbers.

    Parameters
    ----------
    base : RowBlocks
        The rows.
    rows : numpy.ndarray
        Which of them, ascending.
    n_values : int
        Numbers that are read at once, about.

    Yields
    ------
    tuple of numpy.ndarray
        Row numbers, and ``(n, n_features)`` float32; of several views the mean.
    """
    step = max(1, n_values // int(np.prod(base.shape[1:])))
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        adjoining = some[-1] - some[0] == len(some) - 1
        X = base[int(some[0]) : int(some[-1]) + 1] if adjoining else base[some]
        X = X.astype(np.float32, copy=False)
        yield some, X if X.ndim == 2 else X.mean(axis=1)


@dataclass(frozen=True)
class _Rule:
    k: int
    metric: Distance
    device: torch.device

    def keys(self, Q: FloatArray, X: FloatArray) -> FloatArray:
        """Return what pairs of rows are ordered by, in float64: the square, or the distance."""
        Q, X = Q.astype(np.float64), X.astype(np.float64)
        if self.metric == "l2":
            Q -= X
            return _dots(Q, Q)
        norms = np.sqrt(_dots(Q, Q) * _dots(X, X))
        keys: FloatArray = 1 - _dots(Q, X) / np.where(norms > 0, norms, 1)
        return np.maximum(keys, 0)


def _dots(a: FloatArray, b: FloatArray) -> FloatArray:
    dots: FloatArray = np.einsum("ij,ij->i", a, b)  # row by row alike, so equal rows are equal
    return dots


def _nearest(queries: FloatArray, base: RowBlocks, rows: IntArray, rule: _Rule) -> Neighbours:
    best = _Best(queries.astype(np.float32, copy=False), rule)
    for numbers, X in blocks_of(base, rows):
        best.look_at(numbers, X)
    distances = np.sqrt(best.keys) if rule.metric == "l2" else best.keys
    return Neighbours(best.rows, distances)


class _Best:
    """The nearest rows so far of each query."""

    def __init__(self, queries: FloatArray, rule: _Rule) -> None:
        self.queries, self.rule = queries, rule
        self.Q = torch.from_numpy(unit_rows(queries) if rule.metric == "cosine" else queries)
        self.Q = self.Q.to(rule.device)
        self.norms = torch.linalg.vector_norm(self.Q, dim=1).double()
        self.keys = np.full((len(queries), rule.k), np.inf)
        self.rows = np.full((len(queries), rule.k), np.iinfo(np.int64).max)

    def look_at(self, numbers: IntArray, X: FloatArray) -> None:
        """Take the rows of a block that are among the nearest."""
        block = torch.from_numpy(np.ascontiguousarray(X)).to(self.rule.device)
        step = max(1, _BLOCK_VALUES // len(X))
        for first in range(0, len(self.Q), step):
            some = slice(first, first + step)
            products, longest = self._products(self.Q[some], block)
            runs = _runs(products)
            highest = runs.amax(2)
            least = self._least(highest, some, longest)
            # what is not a number may be anything, so it is looked at
            at, run = (~(highest < least[:, None])).nonzero(as_tuple=True)
            which, place = (~(runs[at, run] < least[at, None])).nonzero(as_tuple=True)
            found = run[which] * _RUN + place
            at, found = at[which][found < len(X)] + first, found[found < len(X)]
            self._merge(at.cpu().numpy(), found.cpu().numpy(), numbers, X)

    def _products(self, Q: torch.Tensor, block: torch.Tensor) -> tuple[torch.Tensor, float]:
        """Return what is the higher the nearer a row, and the length of the longest row.

        For the cosine it is just that, and else the product less half the row's square.
        """
        products, squares = _products_and_squares(Q, block)
        if self.rule.metric == "cosine":
            return products.mul_(_inverse(squares.sqrt_(), block)), 1.0
        longest = float(squares.max().sqrt())
        return products.sub_(squares.div_(2)), longest

    def _least(self, highest: torch.Tensor, some: slice, longest: float) -> torch.Tensor:
        """Return the product that a row must have at least, to be among the nearest.

        If k runs of rows have a product as high as this each, then so have k rows.
        """
        norms, k = self.norms[some], self.rule.k
        # (n_features + c) roundings of numbers no larger than this, whatever the order of the sum
        bound = (self.Q.shape[1] + 16) * _UNIT_ROUNDOFF * (norms + longest) ** 2
        bound[bound > _TOO_LARGE] = torch.inf
        worst = torch.from_numpy(self.keys[some, -1]).to(norms.device)
        least = (norms**2 - worst) / 2 if self.rule.metric == "l2" else 1 - worst
        if highest.shape[1] >= k and torch.isinf(worst).any():
            kth = highest.nan_to_num(nan=-torch.inf).topk(k, dim=1).values[:, -1].double()
            least = torch.maximum(least, kth - bound)
        lowest: torch.Tensor = (least - bound).nan_to_num(nan=-torch.inf).float()
        return lowest

    def _merge(self, at: IntArray, found: IntArray, numbers: IntArray, X: FloatArray) -> None:
        """Put rows among the nearest of their queries, where they belong there."""
        if not len(at):
            return
        k, step = self.rule.k, max(1, _BLOCK_VALUES // (8 * X.shape[1]))
        keys = np.concatenate(
            [
                self.rule.keys(self.queries[at[i : i + step]], X[found[i : i + step]])
                for i in range(0, len(at), step)
            ]
        )
        touched, at = np.unique(at, return_inverse=True)
        at = np.concatenate([np.repeat(np.arange(len(touched)), k), at])
        keys = np.concatenate([self.keys[touched].ravel(), keys])
        rows = np.concatenate([self.rows[touched].ravel(), numbers[found]])
        order = np.lexsort((rows, keys, at))
        starts = np.searchsorted(at[order], np.arange(len(touched)))
        kept = order[starts[:, None] + np.arange(k)]
        self.keys[touched], self.rows[touched] = keys[kept], rows[kept]


def _runs(products: torch.Tensor) -> torch.Tensor:
    """Return products with the rows in runs of `_RUN`, the last one filled up."""
    short = -products.shape[1] % _RUN
    if short:
        products = torch.nn.functional.pad(products, (0, short), value=-torch.inf)
    return products.view(len(products), -1, _RUN)


def _products_and_squares(
    Q: torch.Tensor, block: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return products of queries and rows, and of each row with itself."""
    if block.is_cuda or len(Q) > _FEW_QUERIES:
        squares = torch.linalg.vector_norm(block, dim=1).square_()
        return Q @ block.T, squares
    # read each row once, and share the rows out
    products, squares = Q.new_empty(len(Q), len(block)), np.empty(len(block), np.float32)
    step = max(1, _CACHED_VALUES // block.shape[1])
    starts, n = range(0, len(block), step), torch.get_num_threads()

    def fill(share: range) -> None:
        for first in share:
            part = block[first : first + step]
            torch.mm(Q, part.T, out=products[:, first : first + step])
            X = part.numpy()
            with np.errstate(over="ignore"):
                np.vecdot(X, X, out=squares[first : first + step])  # twice as fast as torch's norm

    with ThreadPoolExecutor(n) as pool:
        list(pool.map(fill, [starts[k::n] for k in range(n)]))
    return products, torch.from_numpy(squares)


def _inverse(norms: torch.Tensor, block: torch.Tensor) -> torch.Tensor:
    """Return one by the norm of each row: nought of zero rows, nan where the norm is inexact."""
    inexact = (norms < _TOO_LARGE**-0.5) | (norms > _TOO_LARGE**0.5)
    inverse = torch.where(inexact, torch.nan, 1 / norms)
    odd = inexact.nonzero(as_tuple=True)[0]
    inverse[odd[(block[odd] == 0).all(1)]] = 0
    return inverse


def rows_of(ids: Sequence[str], asked: Sequence[str]) -> IntArray:
    """Return the first row of each id.

    Raises
    ------
    ConfigError
        If one is not there.
    """
    places: dict[str, int] = {}
    for row, name in enumerate(ids):
        places.setdefault(name, row)
    for name in asked:
        if name not in places:
            raise ConfigError(
                f"asked for the image {name!r}, found no such id among {len(ids)}; correct it"
            )
    return np.array([places[name] for name in asked], dtype=np.int64)
