"""How stores are named, and how one is found again."""

import re
from pathlib import Path

from decaf.store.damage import DamagedStoreError, read_errors
from decaf.store.opening import read_head
from decaf.store.provenance import Provenance


def store_name(provenance: Provenance) -> str:
    """Return the file name of a store: data set, backbone, and 12 digits of the digest.

    A shard is named like the whole store, with its rows at the end.
    """
    readable = re.sub(r"[^\w.]+", "-", f"{provenance.dataset}-{provenance.backbone}")
    rows = "-rows-{}-{}".format(*provenance.rows) if provenance.rows else ""
    return f"{readable}-{provenance.whole().digest()[:12]}{rows}.h5"


def find_store(folder: Path, provenance: Provenance) -> Path | None:
    """Return a complete store that holds all that is asked for, if the folder has one.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look; files there that are not sound stores are passed over.
    provenance : Provenance
        What decides the features' values; a store may hold more layers.

    Returns
    -------
    pathlib.Path or None
        The store with the fewest layers more than asked for.

    Raises
    ------
    StoreError
        If a file there cannot be read: it may be the store.
    """
    return next(iter(find_stores(folder, provenance)), None)


def find_stores(folder: Path, provenance: Provenance) -> list[Path]:
    """Return all stores that `find_store` chooses from, the best first."""
    if not folder.is_dir():
        return []
    with read_errors(folder):
        files = sorted(file for file in folder.iterdir() if file.suffix == ".h5" and file.is_file())
    found = {path: _provenance_of(path) for path in files}
    covering = {path: p for path, p in found.items() if p is not None and p.covers(provenance)}
    return sorted(covering, key=lambda path: len(covering[path].layers))


def _provenance_of(path: Path) -> Provenance | None:
    try:
        return read_head(path).provenance
    except DamagedStoreError:
        return None
