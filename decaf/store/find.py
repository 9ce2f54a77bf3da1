"""How stores are named, and how one is found again."""

import re
from pathlib import Path

from decaf.errors import StoreError
from decaf.store.opening import damage_errors, open_store, read_provenance
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
    """
    found = {path: _provenance_of(path) for path in sorted(folder.glob("*.h5"))}
    covering = {path: p for path, p in found.items() if p is not None and p.covers(provenance)}
    return min(covering, key=lambda path: len(covering[path].layers), default=None)


def _provenance_of(path: Path) -> Provenance | None:
    try:
        with damage_errors(path), open_store(path) as file:
            return read_provenance(file)
    except StoreError:
        return None
