"""An index of a store: saved beside what it is of, grown with it, and as exact as was asked."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np

from decaf.choices import Distance
from decaf.errors import ConfigError, StoreMismatchError
from decaf.records import Search
from decaf.retrieval.codes import Code, make_code
from decaf.retrieval.exact import Neighbours, RowBlocks, blocks_of, nearest, nearest_of
from decaf.retrieval.index_files import (
    FORMAT,
    LOCK,
    MANIFEST,
    IndexedStore,
    features_digest,
    index_info,
    index_of,
    read_rows,
    row_keys,
    write_index,
)
from decaf.retrieval.ranking import intersection
from decaf.types import FloatArray, IntArray
from decaf.whole_files import locked, whole_folder

USUAL_RECALL = 0.95
_TRAIN_VALUES = 2**27
_N_HELD_OUT, _K = 500, 10


class Index:
    """An opened index; `build` makes one, `open` reads it.

    Parameters
    ----------
    path : pathlib.Path
        Its folder.
    manifest : mapping
        What it is.
    code : Code
        What finds rows.
    base : RowBlocks
        The layer of its store.
    rows : numpy.ndarray
        ``(n_rows,)`` the store's row of each row of the index.
    """

    def __init__(
        self, path: Path, manifest: Mapping[str, Any], code: Code, base: RowBlocks, rows: IntArray
    ) -> None:
        self.path, self.manifest, self._code, self._base, self.rows = (
            path, manifest, code, base, rows
        )  # fmt: skip

    @classmethod
    def build(
        cls,
        store: IndexedStore,
        out: str | Path,
        kind: str = "flat",
        *,
        how: Search = Search(),
        recall: float | None = None,
        seed: int = 0,
    ) -> "Index":
        """Make an index of a store, block by block.

        Parameters
        ----------
        store : FeatureStore
            An open store.
        out : str or pathlib.Path
            The folder to make; new or empty.
        kind : str
            ``flat``, ``hnsw``, ``spherical``, ``spherical:N``, or a factory string of faiss.
        how : Search
            Layer and metric.
        recall : float, optional
            The share of the 10 true neighbours that is to be found; the effort of a search is the
            least that reaches it on rows that were held out of training. If not given, 0.95 of
            what the greatest effort finds.
        seed : int
            Of the rows that are learnt from and held out.

        Returns
        -------
        Index
            The index.

        Raises
        ------
        ConfigError
            If an option is wrong, or no effort reaches the recall.
        DataError
            If it cannot be written.
        """
        path, start = Path(out), perf_counter()
        layer = how.layer or store.layers[-1]
        base, rows = store[layer], np.flatnonzero(store.done)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ConfigError(f"asked to make the index {path}, found it there; delete it first")
        if len(rows) < 3:
            raise ConfigError(f"asked for an index of {len(rows)} rows; give 3 or more")
        code = make_code(kind, base.shape[-1], how.metric, seed)
        held, learnt = _drawn(rows, base, seed)
        code.train(_read(base, learnt))
        for _, X in blocks_of(base, rows):
            code.add(X)
        made = cls(path, {}, code, base, rows)
        manifest = {
            "format": FORMAT, "kind": kind, "layer": layer, "metric": how.metric, "seed": seed,
            "n_features": base.shape[-1], "n_built": len(rows), "features": features_digest(store),
        }  # fmt: skip
        manifest |= made._tuned(_read(base, held), held, how.metric, recall)
        manifest["build_s"] = perf_counter() - start
        with whole_folder(path) as folder:
            made.manifest = write_index(folder, manifest, code, store, rows)
        return made

    @classmethod
    def open(cls, path: str | Path, store: IndexedStore) -> Self:
        """Read an index of a store.

        Parameters
        ----------
        path : str or pathlib.Path
            Its folder.
        store : FeatureStore
            The store that it was made of, open.

        Returns
        -------
        Index
            The index.

        Raises
        ------
        StoreError
            If there is none, or it is damaged.
        StoreMismatchError
            If it is of another store.
        """
        path = Path(path)
        return cls._read(path, index_of(path, store, files=True), store)

    @classmethod
    def _read(cls, path: Path, manifest: Mapping[str, Any], store: IndexedStore) -> Self:
        rows = read_rows(path, manifest)["rows"]
        base = store[manifest["layer"]]
        code = make_code(
            manifest["kind"], manifest["n_features"], manifest["metric"], manifest["seed"]
        )
        return cls(path, manifest, code.load(path / manifest["files"]["code"][0]), base, rows)

    def add(self, store: IndexedStore) -> "Index":
        """Add the images by which a store has grown since; see `add_to_index`."""
        return add_to_index(self.path, store)

    def checked(self, how: Search) -> Search:
        """Return how is searched with the index's own layer and metric.

        Raises
        ------
        ConfigError
            If others are asked for.
        """
        own = replace(how, layer=self.manifest["layer"], metric=self.manifest["metric"])
        for name in ("layer", "metric"):
            if name in how.given() and getattr(how, name) != getattr(own, name):
                raise ConfigError(
                    f"asked for {name} {getattr(how, name)}, found {getattr(own, name)} in the "
                    f"index {self.path}; leave it out, or build another"
                )
        return own

    def search(self, queries: FloatArray, k: int = 10) -> Neighbours:
        """Find rows of the store near queries.

        Parameters
        ----------
        queries : numpy.ndarray
            ``(n_queries, n_features)``.
        k : int
            How many for each.

        Returns
        -------
        Neighbours
            Rows of the store, and their distances; -1 and infinity where it finds fewer.
        """
        return self._found(queries, min(k, len(self.rows)), self.manifest["effort"])

    def _found(self, queries: FloatArray, k: int, effort: int) -> Neighbours:
        base, some = _Renumbered(self._base, self.rows), self._code.candidates(queries, k, effort)
        near = nearest_of(queries, base, some, k, self._code.metric)
        rows = np.where(near.rows < 0, -1, self.rows[near.rows])
        return Neighbours(rows, near.distances)

    def _tuned(
        self, queries: FloatArray, held: IntArray, metric: Distance, recall: float | None
    ) -> dict[str, Any]:
        """Return the effort, and the recall that it has of held-out rows."""
        k = min(_K, len(self.rows) - 1)
        every = np.sort(self.rows)
        exact = nearest(queries, self._base, k + 1, metric, rows=every).without(held).rows

        def found(effort: int) -> IntArray:
            return self._found(queries, k + 1, effort).without(held).rows

        most = self._code.most_effort(len(self.rows)) if self._code.effort_name else 1
        best = intersection(found(most), exact)
        if recall is not None and best < recall:
            raise ConfigError(
                f"asked for a recall of {recall:g}, found {best:.3f} with the greatest effort; "
                "give a finer index, of more bytes a row, or a lower --recall"
            )
        asked = USUAL_RECALL * best if recall is None else recall
        effort = _least(lambda e: intersection(found(e), exact) >= asked, most)
        rows = found(effort)
        return {
            "effort_name": self._code.effort_name,
            "effort": effort,
            "recall": {
                "1": float((rows[:, :1] == exact[:, :1]).mean()),
                str(k): intersection(rows, exact),
                "asked": recall,
                "n_queries": len(held),
            },
        }


def add_to_index(path: str | Path, store: IndexedStore) -> Index:
    """Add the images by which a store has grown since its index was made.

    Parameters
    ----------
    path : str or pathlib.Path
        The index's folder.
    store : FeatureStore
        The store that has all of its images, by id and content, and others; open.

    Returns
    -------
    Index
        Of this store. What was learnt stays; the effort is chosen again.

    Raises
    ------
    ConfigError
        If no effort reaches the recall any more.
    StoreError
        If the index is damaged.
    StoreMismatchError
        If the store is of another net, or lacks images of the index.
    """
    path = Path(path)
    index_info(path)  # refuses what is none
    with locked(path / LOCK):  # one at a time
        return _grown(path, store)


def _grown(path: Path, store: IndexedStore) -> Index:
    manifest = dict(index_info(path))
    if manifest["store"] == store.digest:  # it has not grown
        return Index._read(path, manifest, store)
    if manifest["features"] != features_digest(store) or manifest["layer"] not in store.layers:
        raise StoreMismatchError(
            f"asked to add {store.path} to the index {path}, found features made otherwise; "
            "build an index of their own"
        )
    known = read_rows(path, manifest)
    done = np.flatnonzero(store.done)
    ids = [store.image_ids[row] for row in done.tolist()]
    here = dict(zip(row_keys(ids, store.image_sha256[done]), done.tolist(), strict=True))
    keys = row_keys(known["ids"].tobytes().decode().split("\0"), known["sha256"])
    for key in keys:
        if key not in here:
            raise StoreMismatchError(
                f"asked to add {store.path} to the index {path}, found that the store lacks the "
                f"image {key[0]} of the index, or has another one; build the index again"
            )
    index = Index._read(path, manifest, store)
    old = np.array([here.pop(key) for key in keys], dtype=np.int64)
    new = np.array(sorted(here.values()), dtype=np.int64)
    base, seed = store[manifest["layer"]], manifest["seed"]
    for _, X in blocks_of(base, new):
        index._code.add(X)
    index.rows = np.concatenate([old, new])
    held, _ = _drawn(index.rows[: manifest["n_built"]], base, seed)
    unseen = np.concatenate([held, index.rows[manifest["n_built"] :]])  # by what was learnt
    held = np.sort(np.random.default_rng(seed).permutation(unseen)[:_N_HELD_OUT])
    asked = manifest["recall"]["asked"]
    manifest |= index._tuned(_read(base, held), held, manifest["metric"], asked)
    index.manifest = write_index(path, manifest, index._code, store, index.rows)
    named = {MANIFEST, LOCK, *(name for name, _ in index.manifest["files"].values())}
    for file in path.iterdir():
        if file.name not in named and file.is_file():
            file.unlink()
    return index


class _Renumbered:
    """Rows of a store by their numbers in the index."""

    def __init__(self, base: RowBlocks, rows: IntArray) -> None:
        self._base, self._rows = base, rows
        self.shape = (len(rows), *base.shape[1:])

    def __getitem__(self, key: Any) -> FloatArray:
        return self._base[self._rows[key]]


def _drawn(rows: IntArray, base: RowBlocks, seed: int) -> tuple[IntArray, IntArray]:
    """Return rows to measure recall by, and others to learn from."""
    mixed = np.random.default_rng(seed).permutation(rows)
    n_held = max(1, min(_N_HELD_OUT, len(rows) // 10))
    n_learnt = max(1, _TRAIN_VALUES // base.shape[-1])
    return np.sort(mixed[:n_held]), np.sort(mixed[n_held : n_held + n_learnt])


def _read(base: RowBlocks, rows: IntArray) -> FloatArray:
    return np.concatenate([X for _, X in blocks_of(base, rows)])


def _least(enough: Any, most: int) -> int:
    """Return the least effort that is enough, the greatest if none is."""
    high = 1
    while high < most and not enough(high):
        high = min(2 * high, most)
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
