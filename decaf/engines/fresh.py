"""Whether stored rows are of the images that are there now.

A row's stamp is compared always. Where it is another one, the file is read and its SHA-256 is
compared with the stored one.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decaf.engines.contents import Contents
from decaf.engines.grow import Donor, find_donors
from decaf.errors import StoreError, StoreMismatchError
from decaf.store import (
    FeatureStore,
    Provenance,
    StoreFile,
    find_stores,
    part_of,
    read_header,
    renew_stamps,
)
from decaf.types import ImageDataset, IntArray

_N_NAMED = 3


@dataclass(frozen=True)
class Comparison:
    """A store's rows beside the images of now.

    Attributes
    ----------
    changed : numpy.ndarray
        Rows that are done, of images whose content is another one now.
    again : numpy.ndarray
        Rows that failed, of images that were changed since or could not be read then.
    stamps : numpy.ndarray
        ``(n_rows, 16)`` uint8, as they are to be stored now.
    touched : bool
        Whether a row that is as it was has another stamp.
    """

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
    contents : Contents or None
        Of the images now.
    donors : tuple of Donor
        Where there is no such store, those that have rows for it.
    others : tuple of pathlib.Path
        All stores of the same table and settings, and of other images.
    """

    path: Path | None = None
    layers: tuple[str, ...] = ()
    n_again: int = 0
    contents: Contents | None = None
    donors: tuple[Donor, ...] = ()
    others: tuple[Path, ...] = ()


def compare(
    done: npt.NDArray[np.bool_],
    sha256: npt.NDArray[np.uint8],
    stamps: npt.NDArray[np.uint8],
    contents: Contents,
) -> Comparison:
    """Compare stored rows with the images that they are of.

    Parameters
    ----------
    done, sha256, stamps : numpy.ndarray
        ``(n_rows,)`` bool, ``(n_rows, 32)`` and ``(n_rows, 16)`` uint8, as stored.
    contents : Contents
        Of the images, a row each.

    Returns
    -------
    Comparison
        A row whose image cannot be read now is as it was: there is no other image.
    """
    _, of = contents.rows
    sealed = contents.stamps[of]
    differ = np.flatnonzero(~(contents.known[of] & (sealed == stamps).all(axis=1)))
    read = contents.sha256(np.unique(of[differ]).tolist())
    changed, again, renewed = [], [], stamps.copy()
    for row in differ.tolist():
        content = read[int(of[row])]
        if content is None:
            continue
        if not done[row]:
            again.append(row)
        elif content != sha256[row].tobytes():
            changed.append(row)
        else:
            renewed[row] = sealed[row]
    touched = bool((renewed != stamps).any())
    return Comparison(np.array(changed, int), np.array(again, int), renewed, touched)


def find_fresh(
    path: Path, asked: Provenance, dataset: ImageDataset, *, growing: bool = True
) -> Found:
    """Look for a store of features of the images that are there now.

    Parameters
    ----------
    path : pathlib.Path
        A store, or a folder of stores.
    asked : Provenance
        What decides the features' values.
    dataset : ImageDataset
        The images of its rows.
    growing : bool
        Where a folder has no such store, look for others that have rows for it.

    Raises
    ------
    StoreError
        If a store cannot be read.
    StoreMismatchError
        If the store at `path` is of other images.
    """
    if path.suffix == ".h5":
        return _found_at(path, asked, dataset)
    contents, others = Contents(dataset), []
    for store in find_stores(path, asked):
        comparison = compare_store(store, contents)
        if not len(comparison.changed):
            return Found(store, read_header(store).provenance.layers, len(comparison.again))
        others.append(store)
    donors = find_donors(path, asked, contents) if growing else ()
    return Found(contents=contents, donors=donors, others=tuple(others))


def compare_store(path: Path, contents: Contents) -> Comparison:
    """Compare a complete store's rows with their images, and renew stamps that only differ.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    with FeatureStore(path) as store:
        found = compare(store.done, store.image_sha256, store.image_stamp, contents)
        joined = bool(store.parts)
    if found.touched and not joined:
        with suppress(OSError, StoreError):  # else they are compared again next time
            renew_stamps(path, found.stamps)
    return found


def replaced_rows(path: Path, dataset: ImageDataset) -> IntArray:
    """Return the rows of an unfinished store that are done, of images that are others now."""
    with StoreFile(part_of(path), locking=False) as file:
        done, sha256, stamps = map(file.read, ("done", "image_sha256", "image_stamp"))
    return compare(done.astype(bool), sha256, stamps, Contents(dataset)).changed


def _found_at(path: Path, asked: Provenance, dataset: ImageDataset) -> Found:
    if not path.exists():
        return Found()
    if not read_header(path).provenance.covers(asked):
        return Found()
    comparison = compare_store(path, Contents(dataset))
    if rows := comparison.changed[:_N_NAMED].tolist():
        named = ", ".join(dataset.image_ids[row] for row in rows)
        raise StoreMismatchError(
            f"asked to write {path}, found features of other images there: "
            f"{len(comparison.changed)} were replaced since ({named}"
            f"{', ...' if len(comparison.changed) > _N_NAMED else ''}); give another path, a "
            "folder, or delete the file"
        )
    return Found(path, read_header(path).provenance.layers, len(comparison.again))
