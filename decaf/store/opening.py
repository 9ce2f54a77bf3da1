"""Opening a store for reading, with every way that it can be damaged told apart and named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from decaf.errors import StoreError
from decaf.store.provenance import Provenance

SCHEMA_VERSION = 1


@contextmanager
def damage_errors(path: Path) -> Iterator[None]:
    """Turn what h5py raises on a damaged file into a StoreError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise StoreError(
            f"asked to read the store {path}, found a file that is damaged, cut short or not HDF5 "
            f"({error}); delete it and extract again"
        ) from error


def open_store(path: Path, *, locking: bool | str = "best-effort") -> h5py.File:
    """Open a store for reading.

    Raises
    ------
    StoreError
        If there is none, it is not a store of a schema known here, or it is being written.
    """
    if not path.is_file():
        raise StoreError(f"asked to read the store {path}, found no such file; extract it first")
    with damage_errors(path):
        try:
            file = h5py.File(path, "r", locking=locking)
        except BlockingIOError as error:
            raise StoreError(
                f"asked to read the store {path}, found it being written; wait for the writer"
            ) from error
        version = file.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        file.close()
        raise StoreError(
            f"asked to read the store {path}, found schema version {version} where this decaf "
            f"knows {SCHEMA_VERSION}; update decaf, or give a store"
        )
    return file


def read_provenance(file: h5py.File) -> Provenance:
    """Return the provenance of an open store.

    Raises
    ------
    StoreError
        If it is not the one that the store's digest was made from.
    """
    provenance = Provenance.from_json(file.attrs["provenance"])
    if provenance.digest() != file.attrs["digest"]:
        raise StoreError(
            f"asked for the provenance of {file.filename}, found one that its digest does not "
            "fit; the file is damaged: delete it and extract again"
        )
    return provenance
