"""The datasets of a store: planning them, making them whole at once, finding their bytes.

::

    features/<layer>   (n_images, n_features), or (n_images, n_views, n_features)
    crc32/<layer>      (n_images,) uint32       checksum of each row of the features
    image_sha256       (n_images, 32) uint8     SHA-256 of each encoded image file
    image_sizes_px     (n_images, 2) int32      width and height of each image; -1 where unknown
    image_stamp        (n_images, 16) uint8     what a change of the file changes, see rows.py
    row_crc32          (n_images,) uint32       checksum of the row's other entries, see rows.py
    done               (n_images,) uint8        1 where the row is complete
    image_ids, class_names, labels, partial [, official, boxes, groups, domains, image_labels,
    image_boxes]                                the table, see decaf.types.ImageDataset
    attributes         schema_version, provenance (JSON), digest, table_crc32

Before them stands the block of header.py, by which decaf itself reads; HDF5 is for everybody else.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from decaf.errors import StoreError
from decaf.names import Names
from decaf.store.header import SCHEMA_VERSION, Column, Header, block_bytes, write_block
from decaf.store.opening import read_header
from decaf.store.provenance import Provenance
from decaf.types import ImageDataset

NAMES = ("image_ids", "class_names", "groups", "domains")
TABLE = (*NAMES, "labels", "official", "boxes", "image_labels", "image_boxes", "partial")
DTYPES = {"float32": "<f4", "float16": "<f2"}
METADATA_BYTES = 2**16
"""Generous estimate of what HDF5 itself takes."""
_FAR = 10**15
"""Stands for any place in a file while the header is measured."""

Table = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Layout:
    """What a store holds, and how its rows are shaped.

    Attributes
    ----------
    provenance : Provenance
        What decides the features' values.
    table : dict of str to numpy.ndarray
        What `table_of` returned.
    n_features : mapping of str to int
        Length of each layer's vector.
    n_views : int
        Number of views of an image.
    """

    provenance: Provenance
    table: Table
    n_features: Mapping[str, int]
    n_views: int

    @cached_property
    def rows(self) -> dict[str, np.dtype[Any]]:
        """The datasets that are written row by row, each with the dtype of one whole row."""
        views = () if self.n_views == 1 else (self.n_views,)
        dtype = DTYPES[self.provenance.dtype]
        rows: dict[str, np.dtype[Any]] = {
            f"features/{layer}": np.dtype((dtype, (*views, self.n_features[layer])))
            for layer in self.provenance.layers
        }
        rows |= {f"crc32/{layer}": np.dtype("<u4") for layer in self.provenance.layers}
        return rows | {
            "image_sha256": np.dtype(("u1", (32,))),
            "image_sizes_px": np.dtype(("<i4", (2,))),
            "image_stamp": np.dtype(("u1", (16,))),
            "row_crc32": np.dtype("<u4"),
            "done": np.dtype("u1"),
        }

    @property
    def n_bytes(self) -> int:
        """Estimated size of the file."""
        row_bytes = sum(row.itemsize for row in self.rows.values())
        table_bytes = sum(column.nbytes for column in self.table.values())
        return METADATA_BYTES + table_bytes + self.provenance.n_rows * row_bytes

    def make(self, path: Path) -> None:
        """Write a file with the table, the attributes and every row not done.

        The file's holes read as zeros; HDF5 need not open it for writing again.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        columns = {
            name: ((self.provenance.n_rows, *row.shape), row.base)
            for name, row in self.rows.items()
        }
        early = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        early.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)

        def add(file: h5py.File) -> None:
            for name, (shape, dtype) in columns.items():
                file.create_dataset(
                    name, shape, dtype, dcpl=early, fill_time="never", track_times=False
                )

        make_file(path, self.provenance, self.table, columns, add)

    def offsets(self, path: Path) -> dict[str, int]:
        """Return where in the file the rows of each dataset start.

        Raises
        ------
        StoreError
            If the file does not have this layout.
        """
        header = read_header(path)
        for name, row in self.rows.items():
            found = header.columns.get(name)
            expected = (self.provenance.n_rows, *row.shape)
            if found is None or (found.shape, found.dtype) != (expected, row.base):
                there = f"{found.dtype}{found.shape}" if found else "a joined store"
                raise StoreError(
                    f"asked to write {name} as {row.base}{expected} in {path}, found {there}; "
                    "delete the file"
                )
        if header.table_crc32 != table_crc32(self.table):
            raise StoreError(
                f"asked to resume {path}, found another table of images in it; delete the file"
            )
        return {name: header.columns[name].offset for name in self.rows}


def make_file(
    path: Path,
    provenance: Provenance,
    table: Table,
    columns: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
    add: Callable[[h5py.File], None],
    *,
    shards: tuple[tuple[int, int, str], ...] = (),
) -> None:
    """Write a store without rows: the attributes, the table, what `add` adds, and the header.

    Parameters
    ----------
    path : pathlib.Path
        The file to make.
    provenance : Provenance
        What decides the features' values.
    table : dict of str to numpy.ndarray
        What `table_of` returned.
    columns : mapping of str to (tuple of int, numpy.dtype)
        Shape and dtype of the datasets that `add` makes with space of their own.
    add : callable
        Takes the open file.
    shards : tuple of (int, int, str)
        As in `Header`.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    crc32 = table_crc32(table)
    types = dict(columns) | {name: (c.shape, c.dtype) for name, c in table.items()}
    anywhere = {n: Column(np.dtype(dtype.str), s, _FAR) for n, (s, dtype) in types.items()}
    header = Header(provenance, crc32, anywhere, _FAR, shards)
    libver = ("v110", "v110") if shards else "earliest"
    with h5py.File(
        path, "w", libver=libver, locking=False, userblock_size=block_bytes(header)
    ) as file:
        file.attrs["schema_version"] = SCHEMA_VERSION
        file.attrs["provenance"] = provenance.to_json()
        file.attrs["digest"] = provenance.digest()
        file.attrs["table_crc32"] = crc32
        for name, column in table.items():
            file.create_dataset(name, data=column, track_times=False)
        add(file)
        places = {n: replace(c, offset=file[n].id.get_offset()) for n, c in anywhere.items()}
    write_block(path, replace(header, columns=places, n_bytes=path.stat().st_size))


def plan_layout(
    provenance: Provenance, dataset: ImageDataset, n_features: Mapping[str, int], n_views: int
) -> Layout:
    """Return the layout of a store for a data set.

    Raises
    ------
    StoreError
        If the arguments do not fit each other, or cannot be stored.
    """
    if provenance.dtype not in DTYPES:
        raise StoreError(
            f"asked for dtype {provenance.dtype!r}, found none of that name; "
            f"choose one of: {', '.join(DTYPES)}"
        )
    n_images = len(dataset.image_ids)
    if not 0 < n_images == provenance.n_rows:
        raise StoreError(
            f"asked for {provenance.n_rows} rows, found {n_images} images in {dataset.name}; "
            "give the provenance of this data set, with one image at least"
        )
    if set(n_features) != set(provenance.layers) or any("/" in name for name in n_features):
        raise StoreError(
            f"asked for layers {', '.join(provenance.layers)}, found feature counts for "
            f"{', '.join(n_features)}; give one for each layer, in names without '/'"
        )
    return Layout(provenance, table_of(dataset), n_features, n_views)


def table_of(dataset: ImageDataset) -> Table:
    """Return the columns of a data set that travel with its features.

    Raises
    ------
    StoreError
        If a name cannot be written as UTF-8.
    """
    found = ((name, getattr(dataset, name)) for name in TABLE)
    columns = {name: column for name, column in found if column is not None}
    columns["partial"] = np.array([dataset.partial], "u1")
    try:
        columns |= {name: _as_utf8(columns[name]) for name in NAMES if name in columns}
    except UnicodeEncodeError as error:
        raise StoreError(
            f"asked to store the name {error.object!r}, found that it is not UTF-8; rename it"
        ) from error
    return {name: np.asarray(column) for name, column in columns.items()}


def _as_utf8(names: Sequence[str]) -> npt.NDArray[Any]:
    encoded = Names(names).encoded
    return encoded.astype(h5py.string_dtype("utf-8", encoded.itemsize))


def table_crc32(table: Table) -> int:
    """Return the CRC-32 of the table: each column's name, dtype, shape and bytes."""
    crc = 0
    for name, column in table.items():
        head = f"{name} {column.dtype.str} {column.shape}"
        crc = zlib.crc32(column.tobytes(), zlib.crc32(head.encode(), crc))
    return crc
