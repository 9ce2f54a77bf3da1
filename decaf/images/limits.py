"""What one image file may ask of the machine, known before anything is decoded.

The bounds hold for a whole process: many threads that decode share `DECODING_BYTES`.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from decaf.errors import DataError

MAX_PIXELS = 89_478_485
"""Larger images are refused: a quarter GiB at 3 bytes a pixel, Pillow's own bomb limit."""

MAX_SCANS = 64
"""JPEG files with more scans are refused. Progressive files have 10, in CMYK 18; each scan goes
through all pixels again."""

MOST_SCANNED = 20 * MAX_PIXELS
"""Pixels of a JPEG file times its scans, at most: it decides the time."""

DECODING_BYTES = 2 * 2**30
"""What all threads of a process may use at once to decode; a thread that wants more waits."""

_PLAIN_BYTES, _BUFFERED_BYTES = 8, 16  # a pixel, at most; the second where a library keeps copies

_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")  # no stuffed byte, no restart
_START_OF_SCAN, _END, _ALONE = 0xDA, 0xD9, (0x01, 0xD8)

_PNG = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_TURNING_TEXTS = (b"XML:com.adobe.xmp", b"Raw profile type exif", b"xmp")  # may hold orientation


def check_size(width: int, height: int) -> None:
    """Refuse an image of too many pixels.

    Raises
    ------
    DataError
        If there are more than `MAX_PIXELS`.
    """
    if width * height > MAX_PIXELS:
        raise DataError(
            f"too large: {width} x {height} pixels, at most {MAX_PIXELS} are decoded; "
            "scale the image down"
        )


def check_tiles(size: tuple[int, int], tile: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of all the tiles that make an image; refuse far too many pixels.

    Raises
    ------
    DataError
        If the tiles have more than twice `MAX_PIXELS`, whatever the image's size.
    """
    width, height = (-(-of // max(1, side)) * side for of, side in zip(size, tile, strict=True))
    if width * height > 2 * MAX_PIXELS:
        raise DataError(
            f"too large: tiles of {tile[0]} x {tile[1]} pixels for an image of {size[0]} x "
            f"{size[1]}; save it with smaller tiles"
        )
    return width, height


def check_header(data: bytes) -> None:
    """Refuse a file that Pillow would use much memory on when it merely opens it.

    Parameters
    ----------
    data : bytes
        The file, or its first 30 bytes.

    Raises
    ------
    DataError
        If it is a WebP file of too many pixels: its decoder makes the whole canvas at once.
    """
    if not (data.startswith(b"RIFF") and data[8:12] == b"WEBP") or len(data) < 25:
        return
    kind = data[12:16]
    if kind == b"VP8X":
        side = int.from_bytes(data[24:27], "little"), int.from_bytes(data[27:30], "little")
        check_size(side[0] + 1, side[1] + 1)
    elif kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        check_size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    elif kind == b"VP8 ":
        side = int.from_bytes(data[26:28], "little"), int.from_bytes(data[28:30], "little")
        check_size(side[0] & 0x3FFF, side[1] & 0x3FFF)


def check_scans(data: bytes, width: int, height: int) -> int:
    """Return how often a JPEG file's pixels are gone through, at most; refuse it if too often.

    Parameters
    ----------
    data : bytes
        The whole file.
    width, height : int
        Of its image, in pixels.

    Returns
    -------
    int
        Number of its scans, or more: some bytes of its metadata may look like one.

    Raises
    ------
    DataError
        If it has more than `MAX_SCANS` scans, or too many for its size.
    """
    most = min(MAX_SCANS, MOST_SCANNED // max(1, width * height))
    n_scans = data.count(b"\xff\xda")  # most metadata has none, and a true count takes longer
    if n_scans > most:
        n_scans = _n_scans(data, most)
    if n_scans > most:
        raise DataError(
            f"found more than {most} scans in a JPEG file of {width} x {height} pixels, as many "
            "are decoded; save it anew"
        )
    return n_scans


def _n_scans(data: bytes, enough: int) -> int:
    """Count the scans of a JPEG file as a decoder meets them, until there are too many."""
    n_scans, at = 0, 2
    while n_scans <= enough and (found := _MARKER.search(data, at)) is not None:
        marker, at = found[1][0], found.end()
        if marker == _END:
            break
        if marker not in _ALONE:
            n_scans += marker == _START_OF_SCAN
            at += int.from_bytes(data[at : at + 2])
    return n_scans


def without_texts(data: bytes) -> bytes:
    """Return a PNG file without colour profile and texts; other files as they are.

    Pillow refuses files for the size of these, and no pixel depends on them; texts that may say
    how the image is turned are kept.
    """
    if not data.startswith(_PNG):
        return data
    kept, start, at = [], 0, len(_PNG)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if _is_idle(data[at + 4 : at + 8], data[at + 8 : at + 40]) and end <= len(data):
            kept.append(data[start:at])
            start = end
        at = end
    return b"".join((*kept, data[start:])) if kept else data


def _is_idle(kind: bytes, begin: bytes) -> bool:
    turning = begin.split(b"\0", 1)[0] in _TURNING_TEXTS
    return kind == b"iCCP" or (kind in _TEXTS and not turning)


class _Memory:
    """Lends a process's bytes to its threads."""

    def __init__(self, n_bytes: int) -> None:
        self._all = self._free = n_bytes
        self._changed = threading.Condition()

    @contextmanager
    def lent(self, n_bytes: int) -> Iterator[None]:
        """Wait until so many bytes are free, all at most, and hold them in the block."""
        n_bytes = min(n_bytes, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= n_bytes)
            self._free -= n_bytes
        try:
            yield
        finally:
            with self._changed:
                self._free += n_bytes
                self._changed.notify_all()


_MEMORY = _Memory(DECODING_BYTES)


def room_to_decode(width: int, height: int, *, buffered: bool) -> AbstractContextManager[None]:
    """Return a context in which an image may be decoded; entering it waits for memory.

    Parameters
    ----------
    width, height : int
        In pixels.
    buffered : bool
        Whether the library keeps more than the pixels: for WebP, and JPEG of several scans.
    """
    return _MEMORY.lent(width * height * (_BUFFERED_BYTES if buffered else _PLAIN_BYTES))
