"""How good a store's features are for search, by layer, dimensions and code: `evaluate_search`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from decaf.errors import ConfigError, DataError
from decaf.records import SearchTest, numbers, takes_records, words
from decaf.retrieval.codes import make_code
from decaf.retrieval.exact import unit_rows
from decaf.retrieval.hashing import SphericalHashing, hamming, pack_bits, spherical_hamming
from decaf.retrieval.ranking import random_ap, step_ap, trapezoid_ap, ukbench_score
from decaf.store import FeatureStore
from decaf.store.searched import mean_of_views
from decaf.types import SIDES, FloatArray, ImageDataset, IntArray

_QUERIES_AT_ONCE = 256
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
        If a code or layer is unknown.
    DataError
        If the images have no labels to judge by, or no official queries.
    """
    with FeatureStore(store) as opened:
        done = np.flatnonzero(opened.done)
        task = _task(opened.table(), done, how.queries)
        lines = []
        for layer in words(how.layers) or opened.layers:
            X = unit_rows(mean_of_views(opened[layer][done]))
            for n in numbers("dims", how.dims):
                start = perf_counter()
                reduced = _reduced(X, int(n), how)
                spent = perf_counter() - start
                lines += [
                    _score(reduced, layer, code, task, spent=spent, seed=how.seed)
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

    def relevance(self, query: int) -> IntArray:
        """Return 1, -1 or 0 (junk) for each row of the base; the query itself is none."""
        own, others = self.labels[query], self.labels[self.base]
        if others.ndim == 1:
            relevant = np.where(others == own, 1, -1)
        elif self.rule == "landmarks":
            relevant = others[:, int(np.argmax(own))].astype(np.int64)
        else:
            relevant = np.where(((others > 0) & (own > 0)).any(1), 1, -1)
        if self.rule != "UKBench":
            relevant[self.base == query] = 0
        return relevant

    def floors(self) -> dict[str, float]:
        if self.rule != "labels":
            return {}
        counts = [
            (int((found != 0).sum()), int((found > 0).sum()))
            for found in map(self.relevance, self.queries.tolist())
        ]
        judged = [pair for pair in counts if pair[1]]
        floors = {pair: random_ap(*pair) for pair in set(judged)}
        share = np.mean([relevant / items for items, relevant in judged])
        return {
            "mAP": float(np.mean([floors[pair] for pair in judged])),
            **dict.fromkeys(("precision@1", "precision@10"), float(share)),
        }

    def measures(self, blocks: Iterator[tuple[IntArray, FloatArray]]) -> dict[str, float]:
        """Return the measures of rankings that come as blocks of queries and distances."""
        aps, firsts, classes = [], [], []
        for queries, distances in blocks:
            for query, far in zip(queries.tolist(), distances, strict=True):
                relevance = self.relevance(query)
                counted = relevance != 0
                if not (relevance > 0).any():
                    continue
                ranked = relevance[np.argsort(far, kind="stable")]
                aps.append(
                    step_ap(relevance[counted] > 0, far[counted])
                    if self.rule == "labels"
                    else trapezoid_ap(ranked)
                )
                firsts.append((ranked[ranked != 0] > 0)[:10])
                classes.append(self.labels[query])
        if not aps:
            raise DataError("asked to judge a search, found no query with a relevant image")
        if self.rule == "UKBench":
            return {"UKBench": ukbench_score(firsts)}
        found = {"mAP": float(np.mean(aps))}
        if self.rule == "labels" and self.labels.ndim == 1:
            _, places = np.unique(classes, return_inverse=True)
            sums = np.bincount(places, weights=aps) / np.bincount(places)
            found["mAP of classes"] = float(sums.mean())
        return found | {
            "precision@1": float(np.mean([hits[0] for hits in firsts])),
            "precision@10": float(np.mean([hits.mean() for hits in firsts])),
            "hit@10": float(np.mean([hits.any() for hits in firsts])),
        }


def _task(table: ImageDataset, done: IntArray, asked: str) -> _Ranking:
    """Return what is asked; rows are numbered among those that have features."""
    table.require_classes("an evaluation of search")
    labels, every = table.labels[done], np.arange(len(done))
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


def _reduced(X: FloatArray, n: int, how: SearchTest) -> FloatArray:
    """Return rows of length 1 after PCA to n dimensions; 0 leaves them as they are."""
    if n == 0:
        return X
    if n > min(X.shape):
        raise ConfigError(
            f"asked for {n} dimensions of {X.shape[1]} features of {len(X)} images; give fewer"
        )
    return unit_rows(PCA(n, whiten=how.whiten, random_state=how.seed).fit_transform(X))


def _score(
    X: FloatArray, layer: str, code: str, task: _Ranking, *, spent: float, seed: int
) -> SearchScore:
    start = perf_counter()
    rank, bytes_a_row = _ranker(code, X[task.base], seed)
    build_s = spent + perf_counter() - start
    seconds = 0.0

    def blocks() -> Iterator[tuple[IntArray, FloatArray]]:
        nonlocal seconds
        for first in range(0, len(task.queries), _QUERIES_AT_ONCE):
            queries = task.queries[first : first + _QUERIES_AT_ONCE]
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
    kind, _, bits = code.partition(":")
    if kind in ("spherical", "hamming") and bits.isdecimal() and int(bits) > 0:
        some = np.random.default_rng(seed).permutation(len(X))[:_LEARNT]
        hashing = SphericalHashing(int(bits), seed).fit(X[some])
        codes = pack_bits(hashing.transform(X))
        measure: Any = spherical_hamming if kind == "spherical" else hamming
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
        near = made.search(Q, len(X), most, X)
        far = np.full((len(Q), len(X) + 1), np.inf)
        np.put_along_axis(far, np.where(near.rows < 0, len(X), near.rows), near.distances, 1)
        return far[:, :-1]

    return rank, n_bytes / len(X)
