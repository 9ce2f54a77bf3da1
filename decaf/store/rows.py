"""The checksums of rows: how they are made, and how a file's rows are checked against them.

::

    crc32/<layer>[i] = CRC-32 of the bytes of features/<layer>[i]
    row_crc32[i]     = CRC-32 of image_sha256[i], every layer's crc32[i] and done[i]

so that no bit of a row can flip unseen, those of the checksums and of the flag included.
"""

import zlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 16 * 2**20
"""Most bytes of one layer that are held in memory while rows are checked or gathered."""


def row_crcs(block: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of the bytes of each row.

    Parameters
    ----------
    block : numpy.ndarray
        ``(n_rows, ...)`` of any dtype.

    Returns
    -------
    numpy.ndarray
        ``(n_rows,)`` little-endian uint32.
    """
    return np.array([zlib.crc32(row) for row in np.ascontiguousarray(block)], "<u4")


def seal_crcs(
    sha256: npt.NDArray[np.uint8], crcs: npt.NDArray[np.uint32], done: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of each row's digest, layer checksums and flag.

    Parameters
    ----------
    sha256 : numpy.ndarray
        ``(n_rows, 32)`` uint8 digests of the picture files.
    crcs : numpy.ndarray
        ``(n_rows, n_layers)`` little-endian uint32 checksums, layers in the provenance's order.
    done : numpy.ndarray
        ``(n_rows,)`` uint8 flags.

    Returns
    -------
    numpy.ndarray
        ``(n_rows,)`` little-endian uint32.
    """
    return row_crcs(np.hstack([sha256, crcs.view(np.uint8), done[:, None]]))


def mismatches(
    file: h5py.File, layers: tuple[str, ...], checked: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, int]]:
    """Yield each row whose bytes and checksums disagree, in bounded memory.

    Parameters
    ----------
    file : h5py.File
        An open store.
    layers : tuple of str
        Its layers, in the provenance's order.
    checked : numpy.ndarray
        ``(n_images,)`` bool, which rows to check.

    Yields
    ------
    tuple of (str, int)
        Name of the checksums, ``"crc32/<layer>"`` or ``"row_crc32"``, and the row.
    """
    row_bytes = max(file[f"features/{layer}"][:1].nbytes for layer in layers)
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, len(checked), step):
        rows = np.s_[start : start + step]
        if not checked[rows].any():
            continue
        crcs = np.stack([file[f"crc32/{layer}"][rows] for layer in layers], axis=1)
        expected = {f"crc32/{layer}": row_crcs(file[f"features/{layer}"][rows]) for layer in layers}
        expected["row_crc32"] = seal_crcs(file["image_sha256"][rows], crcs, file["done"][rows])
        for name, values in expected.items():
            wrong = (values != file[name][rows]) & checked[rows]
            yield from ((name, start + int(i)) for i in np.flatnonzero(wrong))
