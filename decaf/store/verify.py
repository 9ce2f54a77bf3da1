"""Looking into a store: what it holds, and whether every bit of it is as it was written."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import StoreError
from decaf.store.checksums import mismatches
from decaf.store.header import SCHEMA_VERSION
from decaf.store.opening import StoreFile
from decaf.store.reader import FeatureStore

_N_NAMED = 5
_CHECKED = {
    "row_crc32": "image_sha256, image_sizes_px, crc32 and done",
    "image_stamp": "the first 12 bytes",
}


def store_info(path: Path) -> dict[str, Any]:
    """Return what a store holds, without reading its features.

    Parameters
    ----------
    path : pathlib.Path
        The store; a ``.part`` that no one writes will do.

    Returns
    -------
    dict
        ``path, complete, size_bytes, schema_version, digest, n_images, n_done, n_views, layers,
        parts, provenance``; `layers` and `provenance` are mappings, `parts` the paths of a joined
        store's shards.

    Raises
    ------
    StoreError
        If the file cannot be opened as a store.
    """
    with FeatureStore(path) as store:
        return {
            "path": str(path),
            "complete": _is_complete(path),
            "size_bytes": path.stat().st_size,
            "schema_version": SCHEMA_VERSION,
            "digest": store.digest,
            "n_images": store.n_images,
            "n_done": int(store.done.sum()),
            "n_views": store.n_views,
            "layers": {
                name: {"shape": store[name].shape, "dtype": str(store[name].dtype)}
                for name in store.layers
            },
            "parts": [str(part) for part in store.parts],
            "provenance": json.loads(store.provenance.to_json()),
        }


def verify(path: Path) -> list[str]:
    """Return what is wrong with a store: one line for each dataset with flipped bits.

    Every row of a complete store is checked, and those marked as done of a ``.part``.

    Returns
    -------
    list of str
        Problems, each with the first rows that have it; empty when the store is sound.

    Notes
    -----
    Features are read in blocks: memory does not grow with the store.
    """
    try:
        with StoreFile(path) as file:
            return _problems(file)
    except StoreError as error:
        return [str(error)]


def _problems(file: StoreFile) -> list[str]:
    done = file.read("done") != 0
    wrong: dict[str, list[int]] = {}
    for name, row in mismatches(file, done | _is_complete(file.path)):
        wrong.setdefault(name, []).append(row)
    image_ids = file.read("image_ids") if wrong else np.empty(0, "S1")
    return [_sentence(name, rows, image_ids) for name, rows in wrong.items()]


def _sentence(name: str, rows: list[int], image_ids: npt.NDArray[np.bytes_]) -> str:
    checked = _CHECKED.get(name, name.replace("crc32", "features", 1))
    named = ", ".join(f"{row} ({image_ids[row].decode()})" for row in rows[:_N_NAMED])
    more = ", ..." if len(rows) > _N_NAMED else ""
    return f"{checked} and {name} disagree in {len(rows)} rows: {named}{more}"


def _is_complete(path: Path) -> bool:
    return path.suffix == ".h5"
