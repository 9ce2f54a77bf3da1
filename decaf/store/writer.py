"""Writing a store row by row, so that it survives being killed at any moment."""

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from decaf.errors import StoreError
from decaf.store.checksums import row_crcs, seal_crcs, seal_stamps
from decaf.store.disk import BackgroundSync, disk_errors, write_at
from decaf.store.failures import FailureLog, failures_path
from decaf.store.layout import plan_layout
from decaf.store.part import open_part, part_of, sound_rows
from decaf.store.provenance import Provenance
from decaf.types import FloatArray, ImageDataset, IntArray
from decaf.whole_files import sync

_UNKNOWN = (-1, -1)


class FeatureWriter:
    """Writes features into a store, in place, and takes up an interrupted one where it stopped.

    The file is ``<path>.part`` until `finish` renames it. A row's flag is written after all else
    of the row, and the rows found done are checked when a ``.part`` is taken up, so that neither
    a killed process nor a power cut leaves a row that counts as done and is not. Images that
    failed are listed in ``<stem>.failures.csv``; they are tried again when a run is resumed.

    Parameters
    ----------
    path : pathlib.Path
        The store to make; its folder must exist.
    provenance : Provenance
        What decides the features' values.
    dataset : decaf.types.ImageDataset
        Table of the images, one row each.
    n_features : mapping of str to int
        Length of the vector of each of the provenance's layers.
    n_views : int
        Number of views of an image.

    Raises
    ------
    StoreError
        If the store is complete already, another process writes it, there is no space, or the
        folder cannot be written.
    StoreMismatchError
        If there is a store at `path` that was made with other settings.

    Notes
    -----
    The caller's memory bounds the writer's: nothing that grows with the number of images is held
    but the table and one byte an image. A writer belongs to one thread.
    """

    def __init__(
        self,
        path: Path,
        provenance: Provenance,
        dataset: ImageDataset,
        n_features: Mapping[str, int],
        n_views: int = 1,
    ) -> None:
        if path.suffix != ".h5":
            raise StoreError(f"asked to make the store {path}, found no suffix .h5; give it one")
        self.path = path
        self._layout = plan_layout(provenance, dataset, n_features, n_views)
        self._image_ids = dataset.image_ids
        self._stamps: dict[int, bytes] = {}
        self._sizes: dict[int, Sequence[int]] = {}
        with disk_errors(path, self._layout.n_bytes):
            self._fd = open_part(path, self._layout)
            try:
                self._offsets = self._layout.offsets(part_of(path))
                self._settled = sound_rows(path)
                write_at(self._fd, self._settled.astype("u1"), self._offsets["done"])
                self._failures = FailureLog(failures_path(path), dataset.image_ids)
            except BaseException:
                os.close(self._fd)
                raise
        self._sync = BackgroundSync(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that are written."""
        return self._layout.provenance.layers

    @property
    def n_failed(self) -> int:
        """Number of images that failed in this run."""
        return len(self._failures)

    def pending(self) -> IntArray:
        """Return the rows that are neither done nor failed.

        Returns
        -------
        numpy.ndarray
            Sorted int64 row numbers.
        """
        return np.flatnonzero(~self._settled)

    def redo(self, rows: IntArray) -> None:
        """Take rows for not done: their images are others by now.

        Parameters
        ----------
        rows : numpy.ndarray
            Row numbers.

        Raises
        ------
        StoreError
            If the disk fails.
        """
        self._settled[rows] = False
        with disk_errors(self.path, self._layout.n_bytes):
            write_at(self._fd, self._settled.astype("u1"), self._offsets["done"])

    def note_stamps(self, stamps: Mapping[int, bytes]) -> None:
        """Take the stamps of rows that are written, or fail, next.

        Parameters
        ----------
        stamps : mapping of int to bytes
            By row, 12 bytes that a change of the image's file changes, or none.
        """
        self._stamps |= stamps

    def note_sizes(self, sizes_px: Mapping[int, Sequence[int]]) -> None:
        """Take the sizes of the images of rows that are written next.

        Parameters
        ----------
        sizes_px : mapping of int to (int, int)
            By row, width and height.
        """
        self._sizes |= sizes_px

    def write(
        self, rows: IntArray, features: Mapping[str, FloatArray], sha256: Sequence[bytes]
    ) -> None:
        """Write features of some rows in place, then mark the rows as done.

        Parameters
        ----------
        rows : numpy.ndarray
            ``(n_rows,)`` pending row numbers in any order, without repeats.
        features : mapping of str to numpy.ndarray
            ``(n_rows, n_features)`` or ``(n_rows, n_views, n_features)`` of each layer; cast to
            the store's dtype.
        sha256 : sequence of bytes
            SHA-256 of each row's encoded image file, 32 bytes each.

        Raises
        ------
        StoreError
            If a row is not pending, a shape is not the store's, a value is not finite in the
            store's dtype, or the disk is full. Rows written before are safe.
        """
        rows = self._require_pending(rows)
        columns = {
            f"features/{layer}": self._cast(layer, features, rows)
            for layer in self._layout.provenance.layers
        }
        if [len(digest) for digest in sha256] != [32] * len(rows):
            raise StoreError(
                f"asked to write {len(rows)} rows, found SHA-256 digests that do not fit; "
                "give one of 32 bytes for each row"
            )
        digests = np.frombuffer(b"".join(sha256), "u1").reshape(-1, 32)
        self._write_rows(rows, columns, digests, done=1)

    def fail(self, row: int, reason: str) -> None:
        """Note that an image could not be made into features.

        The row stays not done, and its features read as NaN, which no head takes in silence.

        Raises
        ------
        StoreError
            If the row is not pending, or the disk is full.
        """
        rows = self._require_pending(np.array([row]))
        columns = {
            name: np.full((1, *dtype.shape), np.nan, dtype.base)
            for name, dtype in self._layout.rows.items()
            if name.startswith("features/")
        }
        self._write_rows(rows, columns, np.zeros((1, 32), "u1"), done=0)
        with disk_errors(self.path, self._layout.n_bytes):
            self._failures.add(row, reason)

    def finish(self) -> Path:
        """Make the store durable, give it its final name, and close the writer.

        Raises
        ------
        StoreError
            If a row is pending, or the disk fails.
        """
        n_pending = len(self.pending())
        if n_pending:
            raise StoreError(
                f"asked to finish {self.path}, found {n_pending} of {len(self._settled)} rows "
                "neither done nor failed; write them first"
            )
        with disk_errors(self.path, self._layout.n_bytes):
            self._failures.flush()
            self._sync.wait()
            os.fsync(self._fd)
            part_of(self.path).rename(self.path)
            sync(self.path.parent)
        self.close()
        return self.path

    def close(self) -> None:
        """Let go of the file; what is not finished stays, to be resumed."""
        if self._fd < 0:
            return
        self._sync.close()
        os.close(self._fd)
        self._fd = -1
        with disk_errors(self.path, self._layout.n_bytes):
            self._failures.flush()

    def _require_pending(self, rows: IntArray) -> IntArray:
        rows = np.asarray(rows, np.int64)
        n_images = len(self._settled)
        known = ((rows >= 0) & (rows < n_images)).all()
        if not known or self._settled[rows].any() or not np.diff(np.sort(rows)).all():
            raise StoreError(
                f"asked to write rows {rows.tolist()}, found some that are repeated, settled or "
                f"not among the {n_images} of {self.path}; write each pending row once"
            )
        return rows

    def _cast(
        self, layer: str, features: Mapping[str, FloatArray], rows: IntArray
    ) -> npt.NDArray[Any]:
        """Return a layer's features in the store's dtype, whole and finite."""
        row = self._layout.rows[f"features/{layer}"]
        expected = (len(rows), *row.shape)
        found = features[layer].shape if layer in features else "none"
        if found != expected:
            raise StoreError(
                f"asked to write features of layer {layer!r} of shape {expected}, found {found}; "
                "give every layer of the provenance"
            )
        with np.errstate(over="ignore"):  # an overflow is found below
            block = features[layer].astype(row.base, copy=False)
        finite = np.isfinite(block)
        if not finite.all():
            bad = int(rows[np.nonzero(~finite)[0][0]])
            raise StoreError(
                f"asked to store layer {layer!r} as {row.base}, found a value of row {bad} "
                f"({self._image_ids[bad]}) that is not finite there; use a wider dtype or precision"
            )
        return block

    def _write_rows(
        self,
        rows: IntArray,
        columns: dict[str, npt.NDArray[Any]],
        digests: npt.NDArray[np.uint8],
        done: int,
    ) -> None:
        """Write rows, each dataset in as few pieces as there are runs of rows."""
        flags = np.full(len(rows), done, "u1")
        layers = self._layout.provenance.layers
        crcs = np.stack([row_crcs(columns[f"features/{layer}"]) for layer in layers], axis=1)
        columns |= {f"crc32/{layer}": crcs[:, i] for i, layer in enumerate(layers)}
        columns["image_sha256"] = digests
        known = [self._sizes.pop(row, _UNKNOWN) if done else _UNKNOWN for row in rows.tolist()]
        columns["image_sizes_px"] = sizes = np.array(known, "<i4").reshape(-1, 2)
        columns["image_stamp"] = seal_stamps([self._stamps.pop(row, b"") for row in rows.tolist()])
        columns["row_crc32"] = seal_crcs(digests, sizes, crcs, flags)
        columns["done"] = flags  # last: a row counts only once all else is written
        if (np.diff(rows) < 0).any():
            order = np.argsort(rows)
            rows, columns = rows[order], {name: c[order] for name, c in columns.items()}
        starts = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        with disk_errors(self.path, self._layout.n_bytes):
            for name, column in columns.items():
                row_bytes = self._layout.rows[name].itemsize
                for start, stop in pairwise([*starts, len(rows)]):
                    offset = self._offsets[name] + int(rows[start]) * row_bytes
                    write_at(self._fd, np.ascontiguousarray(column[start:stop]), offset)
            self._sync.wrote(sum(column.nbytes for column in columns.values()))
        self._settled[rows] = True
