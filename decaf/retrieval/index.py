"""An index of a store: saved beside what it is of, grown with it, and as exact as was asked.

::

    INDEX/manifest.json        kind, layer, metric, the store's digest, effort, recall, and of each
                               other file its name and SHA-256; written last
    INDEX/rows-<digest>.npz    the store's row, SHA-256 and id of each row of the index
    INDEX/code-<digest>.bin    faiss's file, or spherical codes

A folder without a manifest is no index, and a file is never changed: growing writes new files, then
the manifest that names them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from decaf.choices import Distance
from decaf.errors import ConfigError, StoreError, StoreMismatchError
from decaf.records import Search
from decaf.retrieval.codes import Code, make_code
from decaf.retrieval.exact import Neighbours, RowBlocks, blocks_of, nearest
from decaf.retrieval.ranking import intersection
from decaf.types import FloatArray, IntArray
from decaf.whole_files import whole_file, whole_folder

MANIFEST = "manifest.json"
FORMAT = 1
USUAL_RECALL = 0.95
_TRAIN_VALUES = 2**27
_N_HELD_OUT, _K = 500, 10
_TABLE = ("dataset", "dataset_digest", "n_images", "rows", "weights", "layers")


class IndexedStore(Protocol):
    """What an index needs of a store."""

    path: Path

    @property
    def digest(self) -> str:
        """Of all that it holds."""

    @property
    def provenance(self) -> Any:
        """What decided the features' values."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""

    @property
    def image_ids(self) -> tuple[str, ...]:
        """Of each row."""

    @property
    def image_sha256(self) -> npt.NDArray[np.uint8]:
        """Of each row's image."""

    @property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which rows hold features."""

    def __getitem__(self, layer: str, /) -> RowBlocks:
        """Return a layer."""


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
            "n_features": base.shape[-1], "features": _features(store),
        }  # fmt: skip
        manifest |= made._tuned(_read(base, held), held, how.metric, recall)
        manifest["build_s"] = perf_counter() - start
        with whole_folder(path) as folder:
            made.manifest = _write(folder, manifest, code, store, rows)
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
        manifest = index_info(path)
        if manifest["store"] != store.digest:
            raise StoreMismatchError(
                f"asked to search {store.path} by the index {path}, found that it is of another "
                "store, or of this one before it grew; use `decaf index add`, or build it again"
            )
        return cls._read(path, manifest, store)

    @classmethod
    def _read(cls, path: Path, manifest: Mapping[str, Any], store: IndexedStore) -> Self:
        rows = _rows(path, manifest)["rows"]
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
            Rows of the store, and distances as the index measures them; -1 and infinity where it
            finds fewer.
        """
        return self._found(queries, min(k, len(self.rows)), self.manifest["effort"])

    def _found(self, queries: FloatArray, k: int, effort: int) -> Neighbours:
        near = self._code.search(queries, k, effort, _Renumbered(self._base, self.rows))
        rows = np.where(near.rows < 0, -1, self.rows[near.rows])
        return Neighbours(rows, near.distances)

    def _tuned(
        self, queries: FloatArray, held: IntArray, metric: Distance, recall: float | None
    ) -> dict[str, Any]:
        """Return the effort, and the recall that it has of held-out rows."""
        k = min(_K, len(self.rows) - 1)
        exact = nearest(queries, self._base, k + 1, metric, rows=self.rows).without(held).rows

        def found(effort: int) -> IntArray:
            return self._found(queries, k + 1, effort).without(held).rows

        most = self._code.most_effort(len(self.rows)) if self._code.effort_name else 1
        best = intersection(found(most), exact)
        if recall is not None and best < recall:
            raise ConfigError(
                f"asked for a recall of {recall:g}, found {best:.3f} with the greatest effort; "
                "give a finer index, such as one with ,RFlat at its end, or a lower --recall"
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
        Of this store. What was learnt, and the effort, stay.

    Raises
    ------
    StoreError
        If the index is damaged.
    StoreMismatchError
        If the store is of another net, or lacks images of the index.
    """
    path = Path(path)
    manifest = dict(index_info(path))
    if manifest["features"] != _features(store) or manifest["layer"] not in store.layers:
        raise StoreMismatchError(
            f"asked to add {store.path} to the index {path}, found features made otherwise; "
            "build an index of their own"
        )
    known = _rows(path, manifest)
    done = np.flatnonzero(store.done)
    ids = [store.image_ids[row] for row in done.tolist()]
    here = dict(zip(_keys(ids, store.image_sha256[done]), done.tolist(), strict=True))
    keys = _keys(known["ids"].tobytes().decode().split("\0"), known["sha256"])
    for key in keys:
        if key not in here:
            raise StoreMismatchError(
                f"asked to add {store.path} to the index {path}, found that the store lacks the "
                f"image {key[0]} of the index, or has another one; build the index again"
            )
    index = Index._read(path, manifest, store)
    old = np.array([here.pop(key) for key in keys], dtype=np.int64)
    new = np.array(sorted(here.values()), dtype=np.int64)
    for _, X in blocks_of(store[manifest["layer"]], new):
        index._code.add(X)
    index.rows = np.concatenate([old, new])
    index.manifest = _write(path, manifest, index._code, store, index.rows)
    named = {MANIFEST, *(name for name, _ in index.manifest["files"].values())}
    for file in path.iterdir():
        if file.name not in named and file.is_file():
            file.unlink()
    return index


def index_info(path: str | Path) -> Mapping[str, Any]:
    """Return what an index is; its files are compared with their checksums.

    Parameters
    ----------
    path : str or pathlib.Path
        Its folder.

    Returns
    -------
    mapping
        The manifest.

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    path = Path(path)
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
        own = manifest.pop("sha256")
        if manifest["format"] != FORMAT:
            raise StoreError(
                f"asked to open the index {path}, found format {manifest['format']}, not {FORMAT}; "
                "build it again"
            )
        whole = own == _sha256(_text(manifest)) and all(
            _file_sha256(path / name) == digest for name, digest in manifest["files"].values()
        )
    except FileNotFoundError as error:
        raise StoreError(
            f"asked to open the index {path}, found no {Path(str(error.filename)).name}; build it"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole:
        raise StoreError(
            f"asked to open the index {path}, found it damaged: its checksums do not fit; "
            "delete it and build it again"
        )
    return manifest


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


def _features(store: IndexedStore) -> str:
    made = json.loads(store.provenance.to_json())
    others = {*_TABLE, "weights_sha256"} if made["backbone"] == "imported" else _TABLE
    return _sha256(_text({name: made[name] for name in made if name not in others}))


def _write(
    folder: Path, manifest: Mapping[str, Any], code: Code, store: IndexedStore, rows: IntArray
) -> Mapping[str, Any]:
    """Write an index's files, then the manifest that names them."""
    names = "\0".join(store.image_ids[row] for row in rows.tolist()).encode()
    files = {}
    name = f"code-{store.digest[:16]}.bin"
    with whole_file(folder / name) as part:
        code.save(part)
    files["code"] = (name, _file_sha256(folder / name))
    n_bytes = (folder / name).stat().st_size
    name = f"rows-{store.digest[:16]}.npz"
    with whole_file(folder / name) as part, part.open("wb") as file:
        np.savez(
            file, rows=rows, sha256=store.image_sha256[rows], ids=np.frombuffer(names, np.uint8)
        )
    files["rows"] = (name, _file_sha256(folder / name))
    whole = {
        **manifest, "store": store.digest, "n_rows": len(rows), "files": files,
        "bytes_a_row": n_bytes / len(rows),
    }  # fmt: skip
    whole = json.loads(_text(whole))
    with whole_file(folder / MANIFEST) as part:
        part.write_text(_text({**whole, "sha256": _sha256(_text(whole))}), encoding="utf-8")
    return whole


def _rows(path: Path, manifest: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    with np.load(path / manifest["files"]["rows"][0], allow_pickle=False) as found:
        return dict(found)


def _keys(ids: Sequence[str], sha256: npt.NDArray[np.uint8]) -> list[tuple[str, bytes, int]]:
    """Return what tells rows apart: id and content of the image, and which of its rows."""
    seen: Counter[tuple[str, bytes]] = Counter()
    keys = []
    for name, digest in zip(ids, sha256, strict=True):
        key = (name, digest.tobytes())
        keys.append((*key, seen[key]))
        seen[key] += 1
    return keys


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, indent=1)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
