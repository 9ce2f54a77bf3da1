"""The checksums of rows: how they are made, and how a file's rows are checked against them.

::

    crc32/<layer>[i] = CRC-32 of the bytes of features/<layer>[i]
    row_crc32[i]     = CRC-32 of image_sha256[i], image_sizes_px[i], every layer's crc32[i], done[i]

    image_stamp[i]   = 12 bytes that a change of the image's file changes, and their CRC-32

so that no bit of a row can flip unseen, those of the checksums and of the flag included. A stamp
stands apart, for it is renewed where a file was touched and its content is the same.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.store.opening import StoreFile

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
    if not block.size:
        return np.full(len(block), zlib.crc32(b""), "<u4")
    data = np.ascontiguousarray(block).reshape(-1).view("u1").data
    n_bytes = len(data) // len(block)
    return np.array(
        [zlib.crc32(data[at : at + n_bytes]) for at in range(0, len(data), n_bytes)], "<u4"
    )


def seal_crcs(
    sha256: npt.NDArray[np.uint8],
    sizes_px: npt.NDArray[np.int32],
    crcs: npt.NDArray[np.uint32],
    done: npt.NDArray[np.uint8],
) -> npt.NDArray[np.uint32]:
    """Return the CRC-32 of each row's digest, size, layer checksums and flag.

    Parameters
    ----------
    sha256 : numpy.ndarray
        ``(n_rows, 32)`` uint8 digests of the image files.
    sizes_px : numpy.ndarray
        ``(n_rows, 2)`` little-endian int32 sizes of the images.
    crcs : numpy.ndarray
        ``(n_rows, n_layers)`` little-endian uint32 checksums, layers in the provenance's order.
    done : numpy.ndarray
        ``(n_rows,)`` uint8 flags.

    Returns
    -------
    numpy.ndarray
        ``(n_rows,)`` little-endian uint32.
    """
    return row_crcs(
        np.hstack([sha256, *(x.view(np.uint8) for x in (sizes_px, crcs)), done[:, None]])
    )


def seal_stamps(stamps: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    """Return stamps as they are stored.

    Parameters
    ----------
    stamps : sequence of bytes
        12 bytes each, or none where nothing is known.

    Returns
    -------
    numpy.ndarray
        ``(n_rows, 16)`` uint8.
    """
    sealed = [s.ljust(12, b"\0") + zlib.crc32(s.ljust(12, b"\0")).to_bytes(4) for s in stamps]
    return np.frombuffer(b"".join(sealed), "u1").reshape(-1, 16)


def mismatches(file: StoreFile, checked: npt.NDArray[np.bool_]) -> Iterator[tuple[str, int]]:
    """Yield each row whose bytes and checksums disagree, in bounded memory.

    Parameters
    ----------
    file : StoreFile
        An open store.
    checked : numpy.ndarray
        ``(n_images,)`` bool, which rows to check.

    Yields
    ------
    tuple of (str, int)
        Name of the checksums, ``"crc32/<layer>"``, ``"row_crc32"`` or ``"image_stamp"``, and the
        row.
    """
    layers = file.header.provenance.layers
    step = max(1, BLOCK_BYTES // max(file.columns[f"features/{one}"].row_bytes for one in layers))
    for start in range(0, len(checked), step):
        stop = min(start + step, len(checked))
        if not checked[start:stop].any():
            continue
        for layer in layers:
            found = row_crcs(file.read(f"features/{layer}", start, stop))
            wrong = found != file.read(f"crc32/{layer}", start, stop)
            yield from _named(f"crc32/{layer}", wrong & checked[start:stop], start)
        yield from _named("row_crc32", broken_seals(file, start, stop) & checked[start:stop], start)
        stamps = file.read("image_stamp", start, stop)
        wrong = (seal_stamps([row[:12].tobytes() for row in stamps]) != stamps).any(axis=1)
        yield from _named("image_stamp", wrong & checked[start:stop], start)


def broken_seals(file: StoreFile, start: int, stop: int) -> npt.NDArray[np.bool_]:
    """Return which rows from `start` to `stop` do not fit their ``row_crc32``."""
    layers = file.header.provenance.layers
    crcs = np.stack([file.read(f"crc32/{layer}", start, stop) for layer in layers], axis=1)
    names = ("image_sha256", "image_sizes_px", "done", "row_crc32")
    sha256, sizes, done, found = (file.read(name, start, stop) for name in names)
    wrong: npt.NDArray[np.bool_] = seal_crcs(sha256, sizes, crcs, done) != found
    return wrong


def _named(name: str, wrong: npt.NDArray[np.bool_], start: int) -> Iterator[tuple[str, int]]:
    return ((name, start + int(i)) for i in np.flatnonzero(wrong))
