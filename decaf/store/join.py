"""Shards to one store: a small file that shows their rows as one, without a copy."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from decaf.errors import StoreError, StoreMismatchError
from decaf.store.disk import disk_errors
from decaf.store.failures import failures_path, read_failures, write_failures
from decaf.store.layout import TABLE, Table, table_crc32, write_head
from decaf.store.opening import damage_errors, open_store, read_provenance
from decaf.store.provenance import Provenance
from decaf.whole_files import require_writable, sync


def join(parts: Sequence[Path], out: Path) -> Path:
    """Make one store of all shards of an extraction, without copying their features.

    What is made refers to the shards by their paths relative to its own: move them together.

    Parameters
    ----------
    parts : sequence of pathlib.Path
        Complete shards in any order.
    out : pathlib.Path
        The store to make (``.h5``).

    Returns
    -------
    pathlib.Path
        The store. Its ``.failures.csv`` holds those of all the shards.

    Raises
    ------
    StoreError
        If a part is missing, not complete or no shard, their rows overlap or leave a gap, or
        the store is there already.
    StoreMismatchError
        If the parts were made with different settings.
    DataError
        If the store cannot be written.
    """
    if out.suffix != ".h5":
        raise StoreError(f"asked to make the store {out}, found no suffix .h5; give it one")
    if out.exists():
        raise StoreError(f"asked to make the store {out}, found it there; delete it first")
    require_writable(out)
    shards = sorted(map(_read, parts), key=lambda shard: shard.rows)
    _check(shards)
    table = {name: _concatenated(name, shards) for name in TABLE if name in shards[0].table}
    with disk_errors(out, sum(column.nbytes for column in table.values())):
        new = out.with_name(out.name + ".new")
        try:
            with h5py.File(new, "w", libver=("v110", "v110"), locking=False) as file:
                write_head(file, shards[0].provenance.whole(), table)
                for name in shards[0].row_types:
                    file.create_virtual_dataset(name, _virtual(name, shards, out.parent))
            sync(new)
            _join_failures(out, shards, table)
            new.rename(out)
        finally:
            new.unlink(missing_ok=True)
        sync(out.parent)
    return out


@dataclass(frozen=True, eq=False)
class _Shard:
    """What a shard says of itself, read once: many are joined, and few files may be open."""

    path: Path
    provenance: Provenance
    rows: tuple[int, int]
    table: Table
    row_types: Mapping[str, np.dtype[Any]]


def _read(path: Path) -> _Shard:
    if path.suffix == ".part":
        raise StoreError(
            f"asked to join {path}, found that it is not complete; finish its extraction first"
        )
    with damage_errors(path), open_store(path) as file:
        provenance = read_provenance(file)
        table = {name: file[name][:] for name in TABLE if name in file}
        if table_crc32(table) != file.attrs["table_crc32"]:
            raise StoreError(
                f"asked to join {path}, found a table of images that does not fit its checksum; "
                "delete the shard and extract it again"
            )
        names = [f"{kind}/{layer}" for kind in ("features", "crc32") for layer in provenance.layers]
        row_types = {
            name: np.dtype((file[name].dtype, file[name].shape[1:]))
            for name in (*names, "image_sha256", "row_crc32", "done")
        }
    if provenance.rows is None:
        raise StoreError(f"asked to join {path}, found a whole store; give shards only")
    return _Shard(path, provenance, provenance.rows, table, row_types)


def _check(shards: list[_Shard]) -> None:
    """Refuse shards that are not all rows of one extraction, once each."""
    if not shards:
        raise StoreError("asked to join shards, found none; name them")
    whole, end = shards[0].provenance.whole(), 0
    for shard in shards:
        if differences := whole.differences(shard.provenance.whole()):
            raise StoreMismatchError(
                f"asked to join {shards[0].path} and {shard.path}, found other settings: "
                f"{'; '.join(differences)}; extract both in the same way"
            )
        start, stop = shard.rows
        if start < end:
            raise StoreError(
                f"asked to join {shard.path}, found its rows from {start} to {min(end, stop)} in "
                "another part too; leave one out"
            )
        _refuse_gap(end, start)
        end = stop
    _refuse_gap(end, whole.n_images)


def _refuse_gap(end: int, start: int) -> None:
    if end < start:
        raise StoreError(
            f"asked to join shards, found none with the rows from {end} to {start}; extract that "
            "shard too"
        )


def _concatenated(name: str, shards: list[_Shard]) -> np.ndarray[Any, Any]:
    if name == "class_names":
        return shards[0].table[name]
    column = np.concatenate([shard.table[name] for shard in shards])
    if column.dtype.kind == "S":  # numpy forgets that the bytes are UTF-8
        column = column.astype(h5py.string_dtype("utf-8", column.dtype.itemsize))
    return column


def _virtual(name: str, shards: list[_Shard], folder: Path) -> h5py.VirtualLayout:
    row = shards[0].row_types[name]
    layout = h5py.VirtualLayout((shards[0].provenance.n_images, *row.shape), row.base)
    for shard in shards:
        start, stop = shard.rows
        where = os.path.relpath(shard.path.resolve(), folder.resolve())
        layout[start:stop] = h5py.VirtualSource(where, name, (stop - start, *row.shape), row.base)
    return layout


def _join_failures(out: Path, shards: list[_Shard], table: Table) -> None:
    reasons = {
        shard.rows[0] + row: reason
        for shard in shards
        for row, reason in read_failures(failures_path(shard.path)).items()
    }
    if reasons:
        ids = {row: table["image_ids"][row].decode() for row in reasons}
        write_failures(failures_path(out), reasons, ids)
