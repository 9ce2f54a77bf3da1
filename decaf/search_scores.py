"""How good a store's features are for search, by layer, dimensions and code: `evaluate_search`."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from decaf.errors import ConfigError, DataError
from decaf.records import SearchTest, numbers, takes_records, words
from decaf.retrieval.codes import make_code
from decaf.retrieval.exact import unit_rows
from decaf.retrieval.hashing import SphericalHashing, hamming, pack_bits, spherical_hamming
from decaf.retrieval.ranking import random_ap, step_aps, trapezoid_ap, ukbench_score
from decaf.store import FeatureStore
from decaf.store.searched import mean_of_views
from decaf.types import SIDES, FloatArray, ImageDataset, IntArray

_QUERIES_AT_ONCE = 256
_OWN = re.compile("(spherical|hamming):([1-9][0-9]{0,4})")
_LEARNT = 10_000
"""Rows that spherical hashing learns from, as in its paper."""

Ranker = Callable[[FloatArray], FloatArray]
"""Takes ``(n_queries, n_features)`` and returns distances ``(n_queries, n_rows)``."""

LANDMARKS = ("oxford5k", "paris6k")


@dataclass(frozen=True)
class SearchScore:
    """One line of the table.

    Attributes
    ----------
    layer : str
        Of the store.
    n_features : int
        After PCA.
    code : str
        ``float32``, ``spherical:N``, ``hamming:N`` or a factory string of faiss.
    values : dict of str to float
        Measures by name, fractions from 0 to 1 but for ``UKBench``.
    bytes_a_row, query_ms, build_s : float
        What it costs: memory, time of a query among all rows, time to make the code with its PCA.
    """

    layer: str
    n_features: int
    code: str
    values: dict[str, float]
    bytes_a_row: float
    query_ms: float
    build_s: float


@takes_records
def evaluate_search(
    store: str | Path, how: SearchTest = SearchTest()
) -> tuple[tuple[SearchScore, ...], dict[str, float]]:
    """Rank a store's images for queries among them, and measure the rankings.

    Parameters
    ----------
    store : str or pathlib.Path
        The store.
    how : SearchTest
        Which layers, dimensions and codes, and which queries.

    Returns
    -------
    tuple of SearchScore
        A line for each layer, number of dimensions and code.
    dict of str to float
        The measures that a random order has on average, where there is a formula.

    Raises
    ------
    ConfigError
        If a code or layer is unknown, or there are fewer dimensions than are asked for.
    DataError
        If the images have no groups to judge by, or no official queries.
    """
    with FeatureStore(store) as opened:
        done = np.flatnonzero(opened.done)
        task = _task(opened.table(), done, how.queries)
        layers = words(how.layers) or opened.layers
        _check(how, {layer: opened[layer].shape[-1] for layer in layers}, len(done))
        lines = []
        for layer in layers:
            X = unit_rows(mean_of_views(opened[layer][done]))
            start, dims = perf_counter(), [int(n) for n in numbers("dims", how.dims)]
            components = _components(X, max(dims, default=0), how)
            spent = perf_counter() - start
            for n in dims:
                reduced = unit_rows(components[:, :n]) if n else X
                lines += [
                    _score(reduced, layer, code, task, spent=spent if n else 0, seed=how.seed)
                    for code in _codes(how)
                ]
    return tuple(lines), task.floors()


@dataclass(frozen=True, eq=False)
class _Ranking:
    """Which rows ask, which are ranked for them, and what is relevant to each."""

    rule: str
    queries: IntArray
    base: IntArray
    labels: IntArray

    def relevance(self, queries: IntArray) -> npt.NDArray[np.int8]:
        """Return 1, -1 or 0 (junk) for each row of the base; a query itself is none."""
        own, others = self.labels[queries], self.labels[self.base]
        if others.ndim == 1:
            relevant = np.where(others == own[:, None], 1, -1)
        elif self.rule == "landmarks":
            relevant = others[:, own.argmax(1)].T
        else:
            relevant = np.where((own > 0).astype(float) @ (others > 0).T > 0, 1, -1)
        relevant = relevant.astype(np.int8)
        if self.rule != "UKBench":
            relevant[queries[:, None] == self.base] = 0
        return relevant

    def floors(self) -> dict[str, float]:
        if self.rule != "labels":
            return {}
        counts = [
            ((found != 0).sum(1).tolist(), (found > 0).sum(1).tolist())
            for found in map(self.relevance, _blocks(self.queries))
        ]
        pairs = (pair for both in counts for pair in zip(*both, strict=True))
        judged = [pair for pair in pairs if pair[1]]
        floors = {pair: random_ap(*pair) for pair in set(judged)}
        share = np.mean([relevant / items for items, relevant in judged])
        return {
            "mAP": float(np.mean([floors[pair] for pair in judged])),
            **dict.fromkeys(("precision@1", "precision@10"), float(share)),
        }

    def measures(self, blocks: Iterator[tuple[IntArray, FloatArray]]) -> dict[str, float]:
        """Return the measures of rankings that come as blocks of queries and distances."""
        aps: list[float] = []
        firsts, classes = [], []
        for queries, distances in blocks:
            relevance = self.relevance(queries)
            judged = (relevance > 0).any(1)
            junk = relevance == 0
            order, far = _ranked(np.where(junk, np.inf, distances)[judged])
            ranked = np.take_along_axis(relevance[judged], order, 1)
            aps.extend(
                step_aps(ranked > 0, far) if self.rule == "labels" else map(trapezoid_ap, ranked)
            )
            firsts.append(np.where(ranked == 0, np.nan, ranked > 0)[:, :10])
            classes += self.labels[queries[judged]].tolist()
        if not aps:
            raise DataError("asked to judge a search, found no query with a relevant image")
        if self.rule == "UKBench":
            return {"UKBench": ukbench_score(list(np.concatenate(firsts)))}
        found = {"mAP": float(np.mean(aps))}
        if self.rule == "labels" and self.labels.ndim == 1:
            _, places = np.unique(classes, return_inverse=True)
            sums = np.bincount(places, weights=aps) / np.bincount(places)
            found["mAP of classes"] = float(sums.mean())
        hits = np.concatenate(firsts)
        return found | {
            "precision@1": float(hits[:, 0].mean()),
            "precision@10": float(np.nanmean(hits, axis=1).mean()),
            "hit@10": float((np.nansum(hits, axis=1) > 0).mean()),
        }


def _blocks(queries: IntArray) -> list[IntArray]:
    return [queries[n : n + _QUERIES_AT_ONCE] for n in range(0, len(queries), _QUERIES_AT_ONCE)]


def _ranked(distances: FloatArray) -> tuple[IntArray, npt.NDArray[np.float32]]:
    """Return rows by distance in float32, of equal ones the lower first, and the distances."""
    bits = (np.maximum(distances, 0) + 0.0).astype(np.float32).view(np.int32).astype(np.int64)
    keys = np.sort((bits << 32) | np.arange(distances.shape[1]), axis=1)  # faster than by order
    return keys & 0xFFFFFFFF, (keys >> 32).astype(np.int32).view(np.float32)


def _task(table: ImageDataset, done: IntArray, asked: str) -> _Ranking:
    """Return what is asked; rows are numbered among those that have features."""
    every = np.arange(len(done))
    if asked == "groups":
        if table.groups is None:
            raise DataError(
                f"asked to find the group of images of {table.name}, found none; extract with "
                "--group-by, or a column group"
            )
        _, numbers_of = np.unique([table.groups[row] for row in done], return_inverse=True)
        return _Ranking("labels", every, every, numbers_of)
    table.require_classes("an evaluation of search")
    labels = table.labels[done]
    if asked == "leave-one-out":
        return _Ranking("labels", every, every, labels)
    if table.name == "ukbench":
        return _Ranking("UKBench", every, every, labels)
    if table.official is None or not (table.official[done, 0] == 1 + SIDES.index("test")).any():
        raise DataError(
            f"asked for the official queries of {table.name}, which has no rows to test; use "
            "leave-one-out"
        )
    sides = table.official[done, 0]
    queries = np.flatnonzero(sides == 1 + SIDES.index("test"))
    if table.name == "holidays":
        return _Ranking("Holidays", queries, every, labels)
    base = np.flatnonzero((sides > 0) & (sides < 1 + SIDES.index("test")))
    return _Ranking("landmarks" if table.name in LANDMARKS else "labels", queries, base, labels)


def _codes(how: SearchTest) -> tuple[str, ...]:
    if isinstance(how.codes, str) and " " in how.codes.strip():
        return words(how.codes.split())
    return words(how.codes)


def _check(how: SearchTest, features: Mapping[str, int], n_rows: int) -> None:
    """Refuse dimensions and codes that some layer cannot have, before any work."""
    for layer, n_features in features.items():
        for n in numbers("dims", how.dims):
            if n < 0 or n != int(n) or n > min(n_features, n_rows):
                raise ConfigError(
                    f"asked for {n:g} dimensions of {layer}, found {n_features} features of "
                    f"{n_rows} images; give fewer, or choose --layers"
                )
            for code in _codes(how):
                if code != "float32" and not _OWN.fullmatch(code):
                    make_code(code, int(n) or n_features, "l2", how.seed)


def _components(X: FloatArray, n: int, how: SearchTest) -> FloatArray:
    """Return the first n principal components; the first of fewer are the same."""
    if n == 0:
        return X[:, :0]
    found: FloatArray = PCA(n, whiten=how.whiten, random_state=how.seed).fit_transform(X)
    return found


def _score(
    X: FloatArray, layer: str, code: str, task: _Ranking, *, spent: float, seed: int
) -> SearchScore:
    start = perf_counter()
    rank, bytes_a_row = _ranker(code, X[task.base], seed)
    build_s = spent + perf_counter() - start
    seconds = 0.0

    def blocks() -> Iterator[tuple[IntArray, FloatArray]]:
        nonlocal seconds
        for queries in _blocks(task.queries):
            begun = perf_counter()
            distances = rank(X[queries])
            seconds += perf_counter() - begun
            yield queries, distances

    values = task.measures(blocks())
    query_ms = 1000 * seconds / len(task.queries)
    return SearchScore(layer, X.shape[1], code, values, bytes_a_row, query_ms, build_s)


def _ranker(code: str, X: FloatArray, seed: int) -> tuple[Ranker, float]:
    """Return what measures distances to all rows by their codes, and the bytes of a code."""
    if code == "float32":
        return lambda Q: 1 - Q @ X.T, 4.0 * X.shape[1]
    if own := _OWN.fullmatch(code):
        some = np.random.default_rng(seed).permutation(len(X))[:_LEARNT]
        hashing = SphericalHashing(int(own[2]), seed).fit(X[some])
        codes = pack_bits(hashing.transform(X))
        measure: Any = spherical_hamming if own[1] == "spherical" else hamming
        return lambda Q: measure(pack_bits(hashing.transform(Q)), codes), codes.nbytes / len(X)
    return _faiss_ranker(code, X, seed)


def _faiss_ranker(code: str, X: FloatArray, seed: int) -> tuple[Ranker, float]:
    made = make_code(code, X.shape[1], "l2", seed)
    made.train(X)
    made.add(X)
    most = made.most_effort(len(X)) if made.effort_name else 0
    with TemporaryDirectory() as folder:
        made.save(Path(folder) / "code")
        n_bytes = (Path(folder) / "code").stat().st_size

    def rank(Q: FloatArray) -> FloatArray:
        near = made.candidates(Q, len(X), most)
        far = np.full((len(Q), len(X) + 1), np.inf)
        np.put_along_axis(far, np.where(near < 0, len(X), near), np.arange(near.shape[1]), 1)
        return far[:, :-1]

    return rank, n_bytes / len(X)
