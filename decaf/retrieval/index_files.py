"""The files of an index: what is in them, and whether they are whole.

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
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from decaf.errors import StoreError, StoreMismatchError
from decaf.retrieval.codes import Code
from decaf.retrieval.exact import RowBlocks
from decaf.types import IntArray
from decaf.whole_files import whole_file

MANIFEST = "manifest.json"
LOCK = "lock"
FORMAT = 2
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
    return _checked(Path(path), files=True)


def index_of(path: str | Path, store: IndexedStore, *, files: bool = False) -> Mapping[str, Any]:
    """Return what an index is, if it is of a store.

    Parameters
    ----------
    path : str or pathlib.Path
        Its folder.
    store : FeatureStore
        The store that is searched by it.
    files : bool
        Whether its files are compared with their checksums too.

    Returns
    -------
    mapping
        The manifest.

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    StoreMismatchError
        If it is of another store.
    """
    manifest = _checked(Path(path), files=files)
    if manifest["store"] != store.digest:
        raise StoreMismatchError(
            f"asked to search {store.path} by the index {path}, found that it is of another "
            "store, or of this one before it grew; use `decaf index add`, or build it again"
        )
    return manifest


def _checked(path: Path, *, files: bool) -> Mapping[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((path / MANIFEST).read_bytes())
        own = manifest.pop("sha256")
        if manifest["format"] != FORMAT:
            raise StoreError(
                f"asked to open the index {path}, found format {manifest['format']}, not {FORMAT}; "
                "build it again"
            )
        whole = own == _sha256(_text(manifest)) and not (
            files
            and any(_file_sha256(path / name) != sha for name, sha in manifest["files"].values())
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


def features_digest(store: IndexedStore) -> str:
    """Return a digest of what decides features, whatever the images are."""
    made = json.loads(store.provenance.to_json())
    others = {*_TABLE, "weights_sha256"} if made["backbone"] == "imported" else _TABLE
    return _sha256(_text({name: made[name] for name in made if name not in others}))


def write_index(
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
    whole: dict[str, Any] = {
        **manifest, "store": store.digest, "n_rows": len(rows), "files": files,
        "bytes_a_row": n_bytes / len(rows),
    }  # fmt: skip
    whole = json.loads(_text(whole))
    with whole_file(folder / MANIFEST) as part:
        part.write_text(_text({**whole, "sha256": _sha256(_text(whole))}), encoding="utf-8")
    return whole


def read_rows(path: Path, manifest: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
    """Return ``rows``, ``sha256`` and ``ids`` of an index, as `write_index` wrote them."""
    with np.load(path / manifest["files"]["rows"][0], allow_pickle=False) as found:
        return dict(found)


def row_keys(ids: Sequence[str], sha256: npt.NDArray[np.uint8]) -> list[tuple[str, bytes, int]]:
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
