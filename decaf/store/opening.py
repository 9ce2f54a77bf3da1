"""Opening a store for reading, with every way that it can be damaged told apart and named."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
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
        If there is none, it is not a store of a schema known here, a shard of it is gone, or it
        is being written.
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
    try:
        with damage_errors(path):
            _require_parts(file, path)
    except StoreError:
        file.close()
        raise
    return file


def part_paths(file: h5py.File, path: Path) -> dict[tuple[int, int], Path]:
    """Return the shards that an open store shows as one, by their rows.

    None where it holds its rows itself.
    """
    done = file.get("done")
    if done is None or not done.is_virtual:
        return {}
    parts = {}
    for source in done.virtual_sources():
        (start,), (last,) = source.vspace.get_select_bounds()
        parts[start, last + 1] = path.parent / source.file_name
    return parts


def _require_parts(file: h5py.File, path: Path) -> None:
    """Refuse a joined store without its own shards: HDF5 would give zeros in silence."""
    for rows, part in part_paths(file, path).items():
        if not part.is_file():
            raise StoreError(
                f"asked to read the store {path}, found that its shard {part} is gone; put it "
                "back, or join again"
            )
        with h5py.File(part, "r", locking=False) as shard:
            if shard.attrs["digest"] != replace(read_provenance(file), rows=rows).digest():
                raise StoreError(
                    f"asked to read the store {path}, found another shard at {part} than the one "
                    "that was joined; put that one back, or join again"
                )


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
