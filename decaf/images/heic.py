"""HEIC images, as phones make them: read where the extra ``heic`` is; see docs/adr/0023."""

from importlib.util import find_spec
from typing import Any, BinaryIO

from PIL import Image

BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc")
"""What stands after ``ftyp`` in such a file."""

INSTALLED = find_spec("pillow_heif") is not None


def is_heic(head: bytes) -> bool:
    """Return whether a file, or its first 12 bytes, is of that kind."""
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS


def open_heic(stream: BinaryIO) -> Image.Image:
    """Open a file as Pillow opens others: its pixels are decoded when they are asked for.

    Pillow's own list of formats stays as it is. libheif turns the image upright itself.

    Raises
    ------
    SyntaxError
        If it is damaged, as Pillow's plugins say it.
    """
    from pillow_heif import HeifImageFile  # noqa: PLC0415 - an extra

    kind: Any = HeifImageFile  # which is not typed
    opened: Image.Image = kind(stream)
    return opened
