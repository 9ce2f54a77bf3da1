"""Bytes of an image file to RGB pixels: the one pixel policy of decaf.

Two libraries that decode differently give different features, so every rule is fixed here and
travels in the provenance of a store as `PIXEL_POLICY`. Pillow is the reference; torchcodec
decodes the JPEG files, because there it was measured to give the same bits.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast, get_args

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from decaf.choices import Decoder, check_choice
from decaf.errors import DataError
from decaf.images import heic
from decaf.images.codec import decode_jpeg
from decaf.images.limits import (
    MAX_PIXELS,
    check_header,
    check_scans,
    check_size,
    check_tiles,
    room_to_decode,
    without_texts,
)

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM")
"""Formats that are read, by content and not by name; no other Pillow plugin is ever tried."""

PIXEL_POLICY: dict[str, str] = {
    "decoder": "pillow; torchcodec for JPEG (bit-identical)",
    "orientation": "EXIF, else XMP, applied",
    "grey": "three equal channels",
    "16-bit": "high byte",
    "palette": "expanded",
    "cmyk": "pillow, Adobe inversion undone, no colour profile",
    "alpha": "dropped",
    "animation": "first frame",
    "max_pixels": str(MAX_PIXELS),
}
"""The rules in words; a change of any of them changes the digest of a store."""

GPU_DECODER = "nvjpeg for regular JPEG, else pillow and torchcodec"
"""What the policy's decoder is with decoder ``"gpu"``."""

# Per EXIF orientation: swap rows with columns?, then which axes of (H, W, 3) to flip.
_ORIENTATIONS: dict[int, tuple[bool, tuple[int, ...]]] = {
    2: (False, (1,)),
    3: (False, (0, 1)),
    4: (False, (0,)),
    5: (True, ()),
    6: (True, (1,)),
    7: (True, (0, 1)),
    8: (True, (0,)),
}

_TILE = (322, 323)  # tags of a TIFF file: a tile's width and length
_PIXELS_AT_ONCE = 2**22
_N_HEAD = 40
_PNG = b"\x89PNG"
_READ = ", ".join(FORMATS)
_FOR_HEIC = "it is read with the extra heic: pip install pillow-heif"
_BRANDS = {
    **dict.fromkeys(heic.BRANDS, "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
}
_BEGINNINGS = {
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"8BPS": "a Photoshop file",
    b"%PDF": "PDF",
    b"<": "a text of markup",
    b"version https://git-lfs": "a pointer of Git LFS",
}
_QUOTED = re.compile(r"""b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*\"""")

# What Pillow's plugins raise on files that are broken in one way or another (a warning, where
# the caller has made warnings errors).
_BROKEN_FILE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,
)


def decode(data: bytes, decoder: Decoder = "auto") -> torch.Tensor:
    """Decode one image file.

    Safe to call from many threads; changes no setting of any library.

    Parameters
    ----------
    data : bytes
        The whole file.
    decoder : {"auto", "pillow", "gpu"}
        Who decodes; the pixels are the same: here ``"gpu"`` means the files that a GPU leaves.

    Returns
    -------
    torch.Tensor
        ``(3, H, W)`` uint8, RGB, upright; laid out channels last (the strides of ``H, W, 3``).

    Raises
    ------
    ConfigError
        `decoder` is not a known choice.
    DataError
        The file cannot be decoded, wholly and safely; the message is a one-line reason.
    """
    check_choice("decoder", decoder, get_args(Decoder))
    if not data:
        raise DataError("the file is empty")
    check_header(data)
    with _reasons(data), _opened(io.BytesIO(without_texts(data))) as opened:
        is_jpeg = opened.format in ("JPEG", "MPO")
        buffered = opened.format in ("WEBP", "HEIF") or (
            is_jpeg and check_scans(data, *opened.size) > 1
        )
        with room_to_decode(*_decoded_size(opened), buffered=buffered):
            image = _jpeg(data) if decoder != "pillow" and is_jpeg else None
            if image is None:
                image = _pillow(opened)
        # Asked last: Pillow turns a TIFF upright, and says so here, when it loads the pixels.
        orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    return upright(image, orientation)


@dataclass(frozen=True)
class Jpeg:
    """A JPEG file that any decoder takes alike, but for rounding.

    Attributes
    ----------
    data : torch.Tensor
        ``(n_bytes,)`` uint8: the file with its EXIF and XMP hidden.
    orientation : int
        What they say of it.
    """

    data: torch.Tensor
    orientation: int


def regular_jpeg(data: bytes) -> Jpeg | None:
    """Return a file as another decoder may have it; None where only `decode` may judge.

    Returns
    -------
    Jpeg or None
        None of anything but a JPEG file in grey or RGB of a proper size, whole to its last byte.
    """
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        return None
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as opened:
            check_size(*opened.size)
            check_scans(data, *opened.size)
            orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
            mode = opened.mode
    except (DataError, *_BROKEN_FILE):
        return None
    hidden = _without_app1(data)
    if hidden is None or mode not in ("L", "RGB"):
        return None
    return Jpeg(torch.frombuffer(hidden, dtype=torch.uint8), orientation)


def image_size(file: BinaryIO | bytes) -> tuple[int, int]:
    """Return the width and height that an image file has once decoded, from its header.

    Returns
    -------
    tuple of int
        Width and height in pixels.

    Raises
    ------
    DataError
        If its header is not that of an image.
    """
    stream = io.BytesIO(file) if isinstance(file, bytes) else file
    head = stream.read(_N_HEAD)
    check_header(head)
    if head.startswith(_PNG):
        stream = io.BytesIO(without_texts(head + stream.read()))
    stream.seek(0)
    with _reasons(head), _open(stream) as image:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        swap, _ = _ORIENTATIONS.get(orientation, (False, ()))
        return image.size[::-1] if swap else image.size


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[Image.Image]:
    with _open(stream) as opened:
        check_size(*opened.size)
        yield opened


def _open(stream: BinaryIO) -> Image.Image:
    head = stream.read(12)
    stream.seek(0)
    if heic.INSTALLED and heic.is_heic(head):
        return heic.open_heic(stream)
    return Image.open(stream, formats=FORMATS)


def _decoded_size(opened: Image.Image) -> tuple[int, int]:
    """Return the size of what is decoded, which in a TIFF file are whole tiles."""
    if not isinstance(opened, TiffImageFile):
        return opened.size
    sides = (opened.tag_v2.get(tag) for tag in _TILE)
    width, height = (side if isinstance(side, int) else 1 for side in sides)
    return check_tiles(opened.size, (width, height))


@contextmanager
def _reasons(data: bytes) -> Iterator[None]:
    """Turn what Pillow's plugins raise into a reason of one line, without a byte of the file."""
    try:
        yield
    except UnidentifiedImageError as error:
        found = _found(data)
        advice = _FOR_HEIC if found == "HEIC" else f"read are {_READ}"
        raise DataError(f"not an image: found {found}; {advice}") from error
    except _BROKEN_FILE as error:
        raise DataError(f"broken image: {_plain(str(error))}") from error


def _found(data: bytes) -> str:
    """Say what a file is that is not read."""
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video or an image in a container of that kind")
    return next(
        (what for begin, what in _BEGINNINGS.items() if data.startswith(begin)), "other data"
    )


def _plain(text: str) -> str:
    """Return a message of a library in one line; texts of the file that it quotes are left out."""
    return " ".join(_QUOTED.sub("(bytes of the file)", text).split())


def _jpeg(data: bytes) -> torch.Tensor | None:
    """Decode with torchcodec; None where it is not or refuses: Pillow decides, and says why."""
    if decode_jpeg is None:
        return None
    hidden = _without_app1(data)
    if hidden is None:
        return None
    try:
        # A tensor, for of bytes torchcodec silences a warning in a way that threads may not share.
        image = decode_jpeg(torch.frombuffer(hidden, dtype=torch.uint8), mode="RGB")
    except RuntimeError:
        return None
    return cast("torch.Tensor", image)


def _without_app1(data: bytes) -> bytearray | None:
    """Rename the EXIF and XMP segments of a JPEG file; None if its header is irregular.

    torchcodec would apply the orientation itself, and reads malformed EXIF unlike Pillow.
    """
    hidden, at = bytearray(data), 2
    while at + 4 <= len(hidden) and hidden[at] == 0xFF:
        marker = hidden[at + 1]
        if marker == 0xDA:  # start of scan: the pixels begin
            return hidden
        if marker == 0xE1:
            hidden[at + 1] = 0xEF
        at += 2 + int.from_bytes(hidden[at + 2 : at + 4])
    return None


def _pillow(image: Image.Image) -> torch.Tensor:
    """Convert some rows at a time, for a conversion keeps copies of all that it is given."""
    image.load()  # a TIFF's sides change places here
    width, height = image.size
    n_rows = max(1, _PIXELS_AT_ONCE // width)
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, n_rows):
        end = min(top + n_rows, height)
        some = image if n_rows >= height else image.crop((0, top, width, end))
        pixels[top:end] = np.asarray(_to_rgb(some, image.format))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _to_rgb(image: Image.Image, kind: str | None) -> Image.Image:
    if image.mode in ("F", "I") and kind == "TIFF":
        raise DataError(
            f"pixels of mode {image.mode!r} have no fixed range; save the image with 8 or 16 bits"
        )
    if image.mode.startswith("I"):
        # Pillow's own conversion clips at 255; the high byte is what it takes of 16-bit colour.
        grey = (np.asarray(image, dtype=np.int32) >> 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # a straight conversion warns where the palette has alpha
    return image.convert("RGB")


def upright(image: torch.Tensor, orientation: int) -> torch.Tensor:
    """Return a ``(3, H, W)`` image turned as its EXIF orientation says, channels last."""
    swap, flips = _ORIENTATIONS.get(orientation, (False, ()))
    rows = image.permute(1, 2, 0)  # flips of whole pixels are the fast ones
    if swap:
        rows = rows.transpose(0, 1)
    return rows.flip(flips).permute(2, 0, 1) if flips else rows.permute(2, 0, 1)
