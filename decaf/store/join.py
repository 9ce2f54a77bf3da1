"""Shards to one store: a small file that shows their rows as one, without a copy."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from decaf.errors import DataError, StoreError, StoreMismatchError
from decaf.store.failures import failures_path, read_failures, write_failures
from decaf.store.layout import TABLE, Table, make_file
from decaf.store.opening import StoreFile
from decaf.store.provenance import Provenance
from decaf.whole_files import require_writable, whole_file


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
    try:
        with whole_file(out) as new:
            _make(new, out, shards, table)
            _join_failures(out, shards, table)
    except DataError as error:
        raise StoreError(str(error)) from error
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
    with StoreFile(path) as file:
        provenance = file.header.provenance
        table = {name: file.read(name) for name in TABLE if name in file.columns}
        row_types = {
            name: np.dtype((column.dtype, column.shape[1:]))
            for name, column in file.header.row_columns.items()
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
    if name in ("class_names", "partial"):
        return _as_utf8(shards[0].table[name])
    column = np.concatenate([shard.table[name] for shard in shards])
    return _as_utf8(column)


def _as_utf8(column: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Say of bytes that they are UTF-8, which numpy does not keep."""
    if column.dtype.kind != "S":
        return column
    return column.astype(h5py.string_dtype("utf-8", column.dtype.itemsize))


def _make(path: Path, out: Path, shards: list[_Shard], table: Table) -> None:
    """Write the joined store that is to stand at `out` to a path."""
    folder = out.parent.resolve()
    places = tuple((*shard.rows, os.path.relpath(shard.path.resolve(), folder)) for shard in shards)

    def add(file: h5py.File) -> None:
        for name in shards[0].row_types:
            file.create_virtual_dataset(name, _virtual(name, shards, places))

    make_file(path, shards[0].provenance.whole(), table, {}, add, shards=places)


def _virtual(
    name: str, shards: list[_Shard], places: tuple[tuple[int, int, str], ...]
) -> h5py.VirtualLayout:
    row = shards[0].row_types[name]
    layout = h5py.VirtualLayout((shards[0].provenance.n_images, *row.shape), row.base)
    layout.dcpl.set_obj_track_times(False)  # the same shards make the same bytes
    for start, stop, where in places:
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
