"""How stores are named, and how one is found again."""

import re
from pathlib import Path

from decaf.errors import StoreError
from decaf.store.damage import DamagedStoreError, read_errors
from decaf.store.opening import read_header
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
    found = ((path, _provenance_of(path)) for path in _files(folder, ".h5"))
    covering = {path: p for path, p in found if p is not None and p.covers(provenance)}
    return sorted(covering, key=lambda path: len(covering[path].layers))


def find_alike(folder: Path, provenance: Provenance) -> list[Path]:
    """Return stores of a folder whose rows are as asked for, but of which images does not matter.

    Unfinished ones too, but for the one that is to hold what is asked for.
    """
    alike = []
    for path in _files(folder, ".h5", ".part"):
        try:
            found = read_header(path).provenance
        except StoreError:
            continue
        own = path.suffix == ".part" and not provenance.differences(found)
        if found.computes(provenance) and not own:
            alike.append(path)
    return alike


def _files(folder: Path, *suffixes: str) -> list[Path]:
    if not folder.is_dir():
        return []
    with read_errors(folder):
        return sorted(
            path for path in folder.iterdir() if path.suffix in suffixes and path.is_file()
        )


def _provenance_of(path: Path) -> Provenance | None:
    try:
        return read_header(path).provenance
    except DamagedStoreError:
        return None
