"""The first block of a store: what stands where in it, under one checksum.

HDF5 passes over the block. decaf reads a store by it alone, so that no damaged or foreign HDF5
structure is ever followed::

    decaf store <schema version> <bytes of JSON> <CRC-32>
    {"columns": {name: [dtype, shape, first byte]}, "n_bytes": of the file, "provenance": JSON,
     "shards": [[first row, end, relative path]], "table_crc32": of the table}

The checksum is of every other byte of the file but the rows', which have checksums of their own:
of the JSON, of HDF5's own structures, and of the table of images.
"""

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from decaf.errors import StoreError
from decaf.store.damage import DamagedStoreError, damaged
from decaf.store.provenance import Provenance

SCHEMA_VERSION = 3
_FIRST_LINE = re.compile(rb"decaf store ([0-9]{1,6}) ([0-9]{1,9}) ([0-9a-f]{8})\n")
_ROWS = frozenset({"image_sha256", "image_sizes_px", "image_stamp", "row_crc32", "done"})
_LINE_BYTES = 64
"""At least what the first line takes."""
_HDF5 = b"\x89HDF"
_DTYPE = re.compile(r"[<|][iufS][1-9][0-9]{0,8}")
_NOT_A_HEADER = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    StoreError,
    TypeError,
    ValueError,
)
_AT_ONCE_BYTES = 2**20


@dataclass(frozen=True)
class Column:
    """Where a dataset stands in a file, and of what it is made.

    Attributes
    ----------
    dtype : numpy.dtype
        Of one value.
    shape : tuple of int
        Rows first.
    offset : int
        Its first byte.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * prod(self.shape[1:])

    @property
    def end(self) -> int:
        """The byte after its last."""
        return self.offset + self.dtype.itemsize * prod(self.shape)


@dataclass(frozen=True)
class Header:
    """What the first block says.

    Attributes
    ----------
    provenance : Provenance
        What decides the features' values.
    table_crc32 : int
        Checksum of the table of images.
    columns : mapping of str to Column
        What the file holds.
    n_bytes : int
        Size of the file.
    shards : tuple of (int, int, str)
        Of a joined store, each shard's first row, end, and path relative to the file's folder.
    """

    provenance: Provenance
    table_crc32: int
    columns: Mapping[str, Column]
    n_bytes: int
    shards: tuple[tuple[int, int, str], ...] = field(default=())

    @property
    def row_columns(self) -> dict[str, Column]:
        """The columns that are written row by row."""
        return {name: column for name, column in self.columns.items() if is_of_rows(name)}

    def to_json(self) -> bytes:
        """Return the text of the block."""
        columns = {n: [c.dtype.str, c.shape, c.offset] for n, c in self.columns.items()}
        fields = {
            "columns": columns,
            "n_bytes": self.n_bytes,
            "provenance": self.provenance.to_json(),
            "shards": self.shards,
            "table_crc32": self.table_crc32,
        }
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Header":
        """Return what `to_json` wrote.

        Raises
        ------
        ValueError, TypeError, KeyError, StoreError
            If the text is another.
        """
        fields = json.loads(text)
        return cls(
            Provenance.from_json(fields["provenance"]),
            int(fields["table_crc32"]),
            {name: _column(*column) for name, column in fields["columns"].items()},
            int(fields["n_bytes"]),
            tuple((int(a), int(b), str(name)) for a, b, name in fields["shards"]),
        )


def is_of_rows(name: str) -> bool:
    """Return whether a dataset is written row by row, and not with the table."""
    return name in _ROWS or name.startswith(("features/", "crc32/"))


def block_bytes(header: Header) -> int:
    """Return the size of the block for a header: a power of two, as HDF5 wants it."""
    needed = _LINE_BYTES + len(header.to_json())
    return max(512, 1 << (needed - 1).bit_length())


def write_block(path: Path, header: Header) -> None:
    """Write the first block into a file that is whole but for it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = header.to_json()
    line = _line(len(text), 0)
    with path.open("r+b") as file:
        file.write(line + text)
        file.flush()
        crc = _crc32(file.fileno(), header, len(line))
        file.seek(0)
        file.write(_line(len(text), crc))


def read_block(path: Path, fd: int) -> Header:
    """Return the header of an open file, after every check of it.

    Raises
    ------
    StoreError
        If it is no store, of another schema, or damaged.
    OSError
        If it cannot be read.
    """
    line, n_text, expected = _first_line(path, os.pread(fd, _LINE_BYTES, 0))
    size = os.fstat(fd).st_size
    text = os.pread(fd, min(n_text, size), len(line))
    try:
        header = Header.from_json(text)
        _check_places(header, size, len(line) + n_text)
    except _NOT_A_HEADER as error:
        raise damaged(path, f"a first block that cannot be ({error})") from error
    if header.n_bytes != size:
        raise damaged(path, f"{size} bytes where {header.n_bytes} were written: it is cut short")
    if _crc32(fd, header, len(line)) != expected:
        raise damaged(path, "a table or structure that does not fit its checksum")
    return header


def _line(n_text: int, crc: int) -> bytes:
    return f"decaf store {SCHEMA_VERSION} {n_text} {crc:08x}\n".encode()


def _first_line(path: Path, begin: bytes) -> tuple[bytes, int, int]:
    found = _FIRST_LINE.match(begin)
    if begin.startswith(_HDF5):
        raise DamagedStoreError(
            f"asked to read the store {path}, found an HDF5 file that this decaf did not write "
            "(schema version 1, or no store); extract again, to another path"
        )
    if not found:
        raise DamagedStoreError(
            f"asked to read the store {path}, found a file that is cut short or no store; give a "
            "store, or extract again, to another path"
        )
    version, n_text, crc = (int(found[1]), int(found[2]), int(found[3], 16))
    if version != SCHEMA_VERSION:
        advice = "update decaf" if version > SCHEMA_VERSION else "delete it and extract again"
        raise DamagedStoreError(
            f"asked to read the store {path}, found schema version {version} where this decaf "
            f"knows {SCHEMA_VERSION}; {advice}, or give another store"
        )
    return found[0], n_text, crc


def _column(dtype: str, shape: list[int], offset: int) -> Column:
    if not _DTYPE.fullmatch(dtype) or min(shape, default=-1) < 0:
        raise ValueError(f"a column of {dtype}{shape}")
    return Column(np.dtype(dtype), tuple(map(int, shape)), int(offset))


def _check_places(header: Header, size: int, first: int) -> None:
    """Refuse columns that reach beyond the file or into each other."""
    end = first
    for name, column in sorted(header.columns.items(), key=lambda item: item[1].offset):
        if column.offset < end or column.end > max(size, header.n_bytes):
            raise ValueError(f"{name} at byte {column.offset}")
        end = column.end
    _check_columns(header)


def _check_columns(header: Header) -> None:
    provenance = header.provenance
    n_rows = provenance.n_rows
    if n_rows < 1 or not provenance.layers:
        raise ValueError("no rows or layers")
    needed = {"image_ids", "class_names", "labels", "partial"}
    if not header.shards:
        kinds = (f"{kind}/{layer}" for kind in ("features", "crc32") for layer in provenance.layers)
        needed |= {*_ROWS, *kinds}
    if missing := needed - set(header.columns):
        raise ValueError(f"no {', '.join(sorted(missing))}")
    for name, column in header.columns.items():
        if name not in ("class_names", "partial") and column.shape[0] != n_rows:
            raise ValueError(f"{column.shape[0]} rows of {name} where there are {n_rows}")
        expected = _EXPECTED.get(name.split("/", 1)[0])
        found = (column.dtype.kind, *column.shape[1:])
        if expected and found not in expected:
            raise ValueError(f"{name} as {column.dtype}{column.shape}")


_EXPECTED: dict[str, tuple[tuple[object, ...], ...]] = {
    "image_ids": (("S",),),
    "class_names": (("S",),),
    "groups": (("S",),),
    "domains": (("S",),),
    "partial": (("u",),),
    "crc32": (("u",),),
    "row_crc32": (("u",),),
    "done": (("u",),),
    "image_sha256": (("u", 32),),
    "image_sizes_px": (("i", 2),),
    "image_stamp": (("u", 16),),
}


def _crc32(fd: int, header: Header, first: int) -> int:
    """Return the checksum of a file from byte `first` on, but for its rows."""
    crc = 0
    for start, end in _between_rows(header, first):
        for at in range(start, end, _AT_ONCE_BYTES):
            crc = zlib.crc32(os.pread(fd, min(_AT_ONCE_BYTES, end - at), at), crc)
    return crc


def _between_rows(header: Header, first: int) -> Iterator[tuple[int, int]]:
    for column in sorted(header.row_columns.values(), key=lambda column: column.offset):
        yield first, column.offset
        first = column.end
    yield first, header.n_bytes
