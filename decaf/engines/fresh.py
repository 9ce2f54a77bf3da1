"""Whether stored rows are of the images that are there now.

A row's stamp is compared always. Where it is another one, the file is read and its SHA-256 is
compared with the stored one.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decaf.datasets import read_bytes, stamp_of
from decaf.engines.machine import n_cores
from decaf.errors import StoreError, StoreMismatchError
from decaf.names import Names
from decaf.store import (
    FeatureStore,
    FeatureWriter,
    Provenance,
    StoreFile,
    find_stores,
    part_of,
    read_head,
    renew_stamps,
    seal_stamps,
)
from decaf.types import ImageDataset, IntArray

_THREADS_A_CORE = 4  # they wait for disks
_N_NAMED = 3
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class Comparison:
    """A store's rows beside the images of now.

    Attributes
    ----------
    same : numpy.ndarray
        Rows that are done, of images whose content is as it was.
    changed : numpy.ndarray
        Rows that are done, of images whose content is another one now.
    again : numpy.ndarray
        Rows that failed, of images that were changed since or could not be read then.
    stamps : numpy.ndarray
        ``(n_rows, 16)`` uint8, as they are to be stored now.
    touched : bool
        Whether a row that is as it was has another stamp.
    """

    same: IntArray
    changed: IntArray
    again: IntArray
    stamps: npt.NDArray[np.uint8]
    touched: bool


@dataclass(frozen=True)
class Found:
    """What there is of an extraction.

    Attributes
    ----------
    path : pathlib.Path or None
        The store that holds the features.
    layers : tuple of str
        Its layers.
    n_again : int
        How many rows of it failed and can be tried again.
    donor : pathlib.Path or None
        Where there is none, a store of the same settings, some images of which were others.
    kept : numpy.ndarray
        The donor's rows of images that are as they were.
    others : list of pathlib.Path
        All stores of the same settings and of other images.
    """

    path: Path | None = None
    layers: tuple[str, ...] = ()
    n_again: int = 0
    donor: Path | None = None
    kept: IntArray = field(default_factory=lambda: np.empty(0, np.int64))
    others: tuple[Path, ...] = ()


def compare(
    done: npt.NDArray[np.bool_],
    sha256: npt.NDArray[np.uint8],
    stamps: npt.NDArray[np.uint8],
    dataset: ImageDataset,
) -> Comparison:
    """Compare stored rows with the images that they are of.

    Parameters
    ----------
    done, sha256, stamps : numpy.ndarray
        ``(n_rows,)`` bool, ``(n_rows, 32)`` and ``(n_rows, 16)`` uint8, as stored.
    dataset : ImageDataset
        The images, a row each.

    Returns
    -------
    Comparison
        A row whose image cannot be read now is as it was: there is no other image.
    """
    first, of = _images(dataset)
    found = [stamp_of(dataset, row) for row in first.tolist()]
    sealed = seal_stamps(found)[of]
    known = np.array([bool(stamp) for stamp in found])[of]
    differ = np.flatnonzero(~(known & (sealed == stamps).all(axis=1)))
    read = np.unique(of[differ]).tolist()
    with ThreadPoolExecutor(_THREADS_A_CORE * n_cores()) as pool:
        contents = dict(
            zip(read, pool.map(lambda i: _sha256(dataset, int(first[i])), read), strict=True)
        )
    changed, again, renewed = [], [], stamps.copy()
    for row in differ.tolist():
        content = contents[of[row]]
        if content is None:
            continue
        if not done[row]:
            again.append(row)
        elif content != sha256[row].tobytes():
            changed.append(row)
        else:
            renewed[row] = sealed[row]
    same = np.setdiff1d(np.flatnonzero(done), changed)
    touched = bool((renewed != stamps).any())
    return Comparison(same, np.array(changed, int), np.array(again, int), renewed, touched)


def find_fresh(path: Path, asked: Provenance, dataset: ImageDataset) -> Found:
    """Look for a store of features of the images that are there now.

    Parameters
    ----------
    path : pathlib.Path
        A store, or a folder of stores.
    asked : Provenance
        What decides the features' values.
    dataset : ImageDataset
        The images of its rows.

    Raises
    ------
    StoreError
        If a store cannot be read.
    StoreMismatchError
        If the store at `path` is of other images.
    """
    if path.suffix == ".h5":
        return _found_at(path, asked, dataset)
    best, others = Found(), []
    for store in find_stores(path, asked):
        comparison = compare_store(store, dataset)
        if not len(comparison.changed):
            return Found(store, read_head(store).provenance.layers, len(comparison.again))
        others.append(store)
        if len(comparison.same) > len(best.kept):
            best = Found(donor=store, kept=comparison.same)
    return Found(donor=best.donor, kept=best.kept, others=tuple(others))


def compare_store(path: Path, dataset: ImageDataset) -> Comparison:
    """Compare a complete store's rows with their images, and renew stamps that only differ.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with FeatureStore(path) as store:
        found = compare(store.done, store.image_sha256, store.image_stamp, dataset)
        joined = bool(store.parts)
    if found.touched and not joined:
        with suppress(OSError, StoreError):  # else they are compared again next time
            renew_stamps(path, found.stamps)
    return found


def replaced_rows(path: Path, dataset: ImageDataset) -> IntArray:
    """Return the rows of an unfinished store that are done, of images that are others now.

    Parameters
    ----------
    path : pathlib.Path
        The store to be.
    dataset : ImageDataset
        The images of its rows.
    """
    with StoreFile(part_of(path), locking=False) as file:
        done, sha256, stamps = map(file.read, ("done", "image_sha256", "image_stamp"))
    return compare(done.astype(bool), sha256, stamps, dataset).changed


def take_over(writer: FeatureWriter, donor: Path, rows: IntArray) -> None:
    """Write another store's rows into a store of the same settings.

    Parameters
    ----------
    writer : FeatureWriter
        Of the store to be.
    donor : pathlib.Path
        The other store, whose rows are of the same images.
    rows : numpy.ndarray
        Which rows.
    """
    with FeatureStore(donor) as store:
        layers = writer.layers
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            stamps = store.image_stamp[some, :-4]
            writer.note_stamps(
                {row: s.tobytes() for row, s in zip(some.tolist(), stamps, strict=True)}
            )
            writer.note_sizes(dict(zip(some.tolist(), store.image_sizes_px[some], strict=True)))
            features = {layer: store[layer][some] for layer in layers}
            writer.write(some, features, [sha.tobytes() for sha in store.image_sha256[some]])


def _found_at(path: Path, asked: Provenance, dataset: ImageDataset) -> Found:
    if not path.exists():
        return Found()
    if not read_head(path).provenance.covers(asked):
        return Found()
    comparison = compare_store(path, dataset)
    if rows := comparison.changed[:_N_NAMED].tolist():
        named = ", ".join(dataset.image_ids[row] for row in rows)
        raise StoreMismatchError(
            f"asked to write {path}, found features of other images there: "
            f"{len(comparison.changed)} were replaced since ({named}"
            f"{', ...' if len(comparison.changed) > _N_NAMED else ''}); give another path, a "
            "folder, or delete the file"
        )
    return Found(path, read_head(path).provenance.layers, len(comparison.again))


def _images(dataset: ImageDataset) -> tuple[IntArray, IntArray]:
    """Return the first row of each image, and the number of each row's image."""
    if dataset.boxes is None:
        rows = np.arange(len(dataset.image_ids))
        return rows, rows
    _, first, of = np.unique(
        Names(dataset.image_ids).encoded, return_index=True, return_inverse=True
    )
    return first, of


def _sha256(dataset: ImageDataset, row: int) -> bytes | None:
    try:
        return hashlib.sha256(read_bytes(dataset, row)).digest()
    except (OSError, ValueError):
        return None
