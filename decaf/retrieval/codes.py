"""What an index is made of: a structure of faiss, or spherical codes. Each has one effort to tune.

faiss measures squared Euclidean distances here, for the cosine of rows of length 1: centring before
a PCA and residuals of a product quantiser then mean the same for both.
"""

import re
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from decaf.choices import Distance
from decaf.errors import ConfigError
from decaf.extras import missing_extra
from decaf.retrieval.exact import unit_rows
from decaf.retrieval.hashing import SphericalHashing, nearest_codes, pack_bits
from decaf.types import FloatArray, IntArray

KINDS = {"flat": "Flat", "hnsw": "HNSW32"}
"""Short names of faiss's factory strings; ``spherical`` and ``spherical:N`` are decaf's own."""
_BITS = 256
_MOST_EFFORT = 4096
_CANDIDATES = 10
"""Rows that a lossy code finds for each neighbour that is asked for."""
_HASH_ROWS = 10_000


class Code(Protocol):
    """A structure that finds rows near a query."""

    effort_name: str
    """What its effort is; empty where it has none."""
    metric: Distance

    def train(self, X: FloatArray) -> None:
        """Learn from a sample of rows."""

    def add(self, X: FloatArray) -> None:
        """Add rows; they are numbered from 0 in this order."""

    def candidates(self, queries: FloatArray, k: int, effort: int) -> IntArray:
        """Return rows among which the k nearest are looked for, ``(n_queries, n)``; -1 is none.

        The nearest by its own measure come first.
        """

    def most_effort(self, n_rows: int) -> int:
        """Return the effort beyond which nothing more is found."""

    def save(self, path: Path) -> None:
        """Write it into one file."""

    def load(self, path: Path) -> Self:
        """Read what `save` wrote."""


def make_code(kind: str, n_features: int, metric: Distance, seed: int) -> Code:
    """Return an empty structure.

    Parameters
    ----------
    kind : str
        ``flat``, ``hnsw``, ``spherical``, ``spherical:N`` with N bits, or a factory string of
        faiss.
    n_features : int
        Of a row.
    metric : {"cosine", "l2"}
        Which distance.
    seed : int
        Of what is drawn.

    Returns
    -------
    Code
        For `index.Index`.

    Raises
    ------
    ConfigError
        If the kind is unknown, or faiss is not installed.
    """
    own = re.fullmatch(r"spherical(?::([1-9][0-9]{0,4}))?", kind)
    if own:
        return _SphericalCode(int(own[1] or _BITS), metric, seed)
    return _FaissCode(kind, n_features, metric)


def _faiss(kind: str) -> Any:
    try:
        import faiss  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise missing_extra(f"an index {kind}", "search") from error
    return faiss


class _SphericalCode:
    """Spherical codes, scanned."""

    effort_name = "candidates"

    def __init__(self, n_bits: int, metric: Distance, seed: int) -> None:
        self.metric = metric
        self.hashing = SphericalHashing(n_bits, seed)
        self.codes = np.empty((0, -(-n_bits // 64)), np.uint64)

    def _prepared(self, X: FloatArray) -> FloatArray:
        return unit_rows(X) if self.metric == "cosine" else X

    def train(self, X: FloatArray) -> None:
        self.hashing.fit(self._prepared(X[:_HASH_ROWS]))

    def add(self, X: FloatArray) -> None:
        codes = pack_bits(self.hashing.transform(self._prepared(X)))
        self.codes = np.concatenate([self.codes, codes])

    def candidates(self, queries: FloatArray, k: int, effort: int) -> IntArray:
        asked = pack_bits(self.hashing.transform(self._prepared(queries)))
        return nearest_codes(asked, self.codes, max(k, effort))

    def most_effort(self, n_rows: int) -> int:
        return n_rows

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, pivots=self.hashing.pivots_, radii=self.hashing.radii_, codes=self.codes)

    def load(self, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as found:
            self.hashing.pivots_, self.hashing.radii_ = found["pivots"], found["radii"]
            self.codes = found["codes"]
        self.hashing.n_features_in_ = self.hashing.pivots_.shape[1]
        return self


class _FaissCode:
    """An index of faiss, by its factory string."""

    def __init__(self, kind: str, n_features: int, metric: Distance) -> None:
        self.faiss, self.kind, self.metric = _faiss(kind), kind, metric
        try:
            self.index = self.faiss.index_factory(n_features, KINDS.get(kind, kind))
        except RuntimeError as error:
            raise ConfigError(
                f"unknown index {kind!r} for {n_features} features; give flat, hnsw, spherical, or "
                "a factory string of faiss, such as PCA128,IVF1024,PQ16"
            ) from error
        self.effort_name = self._effort_name()
        whole = re.search(r"(?<!R)Flat$|HNSW\d*$", KINDS.get(kind, kind))
        self.is_lossy = not whole or re.search("PCA|OPQ|ITQ|RR", kind) is not None

    def _effort_name(self) -> str:
        if self.faiss.try_extract_index_ivf(self.index) is not None:
            return "nprobe"
        return "efSearch" if re.search(r"HNSW|NSG", KINDS.get(self.kind, self.kind)) else ""

    def _prepared(self, X: FloatArray) -> FloatArray:
        X = unit_rows(X) if self.metric == "cosine" else X.astype(np.float32, copy=False)
        return np.ascontiguousarray(X)

    def train(self, X: FloatArray) -> None:
        try:
            self.index.train(self._prepared(X))
        except RuntimeError as error:
            reason = str(error).split(" failed: ")[-1].splitlines()[0]
            raise ConfigError(
                f"asked for an index {self.kind} of {len(X)} rows to learn from, which faiss "
                f"refuses ({reason}); give a coarser one, such as flat or hnsw"
            ) from error

    def add(self, X: FloatArray) -> None:
        self.index.add(self._prepared(X))

    def candidates(self, queries: FloatArray, k: int, effort: int) -> IntArray:
        if self.effort_name:
            self.faiss.ParameterSpace().set_index_parameter(self.index, self.effort_name, effort)
        n = min(k * _CANDIDATES, self.index.ntotal) if self.is_lossy else k
        rows: IntArray = self.index.search(self._prepared(queries), n)[1]
        return rows

    def most_effort(self, n_rows: int) -> int:
        ivf = self.faiss.try_extract_index_ivf(self.index)
        return int(ivf.nlist) if ivf is not None else min(n_rows, _MOST_EFFORT)

    def save(self, path: Path) -> None:
        self.faiss.write_index(self.index, str(path))

    def load(self, path: Path) -> Self:
        self.index = self.faiss.read_index(str(path))
        return self
