"""Stores that grow: rows of other stores, taken over where an image's content is the same.

A row follows from an image's content, its box and the settings alone: passes are all of one size,
and no row depends on those beside it. So it does not matter what the image was called, what its
label was, and in which data set it was.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from decaf.engines.contents import Contents
from decaf.errors import StoreError
from decaf.names import Names
from decaf.store import (
    BLOCK_BYTES,
    FeatureWriter,
    Provenance,
    StoredLayer,
    StoreFile,
    broken_seals,
    find_alike,
    row_crcs,
)
from decaf.types import FloatArray, IntArray


@dataclass(frozen=True)
class Donor:
    """A store that has rows for another one.

    Attributes
    ----------
    path : pathlib.Path
        The store, which may be unfinished.
    there, here : numpy.ndarray
        Its rows, and the rows of the table that are of the same content.
    """

    path: Path
    there: IntArray
    here: IntArray


@dataclass(frozen=True)
class _Offer:
    """The rows of a store that are done and sound."""

    path: Path
    provenance: Provenance
    rows: IntArray
    names: npt.NDArray[np.bytes_]
    sha256: npt.NDArray[np.uint8]
    stamps: npt.NDArray[np.uint8]
    boxes: FloatArray | None


def find_donors(folder: Path, asked: Provenance, contents: Contents) -> tuple[Donor, ...]:
    """Look for rows of the same settings whose images hold what images of a table hold now.

    An image whose name and stamp are a store's has the content that is stored there; others are
    read, if a store there is of a data set of the same name, or has a name in common.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look. Stores that are damaged, or being written, are passed over.
    asked : Provenance
        What decides the features' values.
    contents : Contents
        Of the images of its rows.

    Returns
    -------
    tuple of Donor
        No two for one row.
    """
    found = (_offer(path) for path in find_alike(folder, asked))
    offers = [one for one in found if one is not None and len(one.rows)]
    if not offers:
        return ()
    sha256, known = _contents(offers, asked, contents)
    by_box = contents.dataset.boxes if any(" of " in view for view in asked.views) else None
    _, of = contents.rows
    wanted = _keys(sha256[of], by_box)
    left, donors = np.flatnonzero(known[of]), []
    for offer in offers:
        there = _keys(offer.sha256, None if by_box is None else offer.boxes)
        order = np.argsort(there)
        places = order[np.searchsorted(there, wanted[left], sorter=order).clip(max=len(there) - 1)]
        hit = there[places] == wanted[left]
        if hit.any():
            donors.append(Donor(offer.path, offer.rows[places[hit]], left[hit]))
        left = left[~hit]
    return tuple(donors)


def take_over(
    writer: FeatureWriter, donors: Sequence[Donor], contents: Contents, stop: threading.Event
) -> int:
    """Write rows of other stores into a store, but for those that do not fit their checksums.

    Returns
    -------
    int
        Number of rows.
    """
    (_, of), n_taken = contents.rows, 0
    for donor in donors:
        left = np.isin(donor.here, writer.pending())
        wanted = replace(donor, there=donor.there[left], here=donor.here[left])
        for here, features, sha256, sizes_px in _sound_rows(wanted, writer.layers):
            writer.note_stamps({row: contents.raw[of[row]] for row in here.tolist()})
            writer.note_sizes(dict(zip(here.tolist(), sizes_px.tolist(), strict=True)))
            writer.write(here, features, sha256)
            n_taken += len(here)
            if stop.is_set():
                return n_taken
    return n_taken


def _offer(path: Path) -> _Offer | None:
    try:
        with StoreFile(path) as file:
            n_rows = file.header.provenance.n_rows
            rows = np.flatnonzero(file.read("done").astype(bool) & ~broken_seals(file, 0, n_rows))
            names, sha256, stamps = (
                file.read(name)[rows] for name in ("image_ids", "image_sha256", "image_stamp")
            )
            boxes = file.read("boxes")[rows] if "boxes" in file.columns else None
            return _Offer(path, file.header.provenance, rows, names, sha256, stamps, boxes)
    except StoreError:
        return None


def _contents(
    offers: list[_Offer], asked: Provenance, contents: Contents
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return the SHA-256 of each image, and whether it is known."""
    names = Names(contents.dataset.image_ids).encoded[contents.rows[0]]
    sha256, known = np.zeros((len(names), 32), np.uint8), np.zeros(len(names), bool)
    related = False
    for offer in offers:
        _, images, there = np.intersect1d(names, offer.names, return_indices=True)
        same = contents.known[images]
        same &= (offer.stamps[there] == contents.stamps[images]).all(axis=1)
        sha256[images[same]], known[images[same]] = offer.sha256[there[same]], True
        renamed = offer.provenance.dataset == asked.dataset
        renamed &= offer.provenance.dataset_digest != asked.dataset_digest  # else another shard
        related |= bool(len(images)) or renamed
    if related:
        for image, digest in contents.sha256(np.flatnonzero(~known).tolist()).items():
            if digest is not None:
                sha256[image], known[image] = np.frombuffer(digest, np.uint8), True
    return sha256, known


def _keys(sha256: npt.NDArray[np.uint8], boxes: FloatArray | None) -> npt.NDArray[np.bytes_]:
    """Return what decides a row, as one value each."""
    if boxes is not None:
        sha256 = np.hstack([sha256, np.ascontiguousarray(boxes, np.float32).view(np.uint8)])
    return np.ascontiguousarray(sha256).view(f"S{sha256.shape[1]}")[:, 0]


def _sound_rows(
    donor: Donor, layers: Sequence[str]
) -> Iterator[tuple[IntArray, dict[str, FloatArray], list[bytes], IntArray]]:
    """Yield rows of the table whose features fit their checksums, with SHA-256 and sizes."""
    try:
        with StoreFile(donor.path) as file:
            row_bytes = max(file.columns[f"features/{layer}"].row_bytes for layer in layers)
            step = max(1, BLOCK_BYTES // row_bytes)
            for first in range(0, len(donor.here), step):
                some = slice(first, first + step)
                rows, here = donor.there[some], donor.here[some]
                features = {layer: _column(file, f"features/{layer}")[rows] for layer in layers}
                sound = np.ones(len(here), bool)
                for layer in layers:
                    sound &= row_crcs(features[layer]) == _column(file, f"crc32/{layer}")[rows]
                kept = {layer: values[sound] for layer, values in features.items()}
                digests = _column(file, "image_sha256")[rows[sound]]
                sizes_px = np.asarray(_column(file, "image_sizes_px")[rows[sound]], np.int32)
                yield here[sound], kept, [digest.tobytes() for digest in digests], sizes_px
    except StoreError:
        return  # what is left is computed


def _column(file: StoreFile, name: str) -> StoredLayer:
    column = file.columns[name]
    return StoredLayer(partial(file.read, name), column.shape, column.dtype)
