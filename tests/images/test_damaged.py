"""Damaged files of every format: pixels, or a reason of one line; never another error."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from decaf.errors import DataError
from decaf.images.decode import decode, image_size

N_EACH = 40


def encoded(kind, **options):
    y, x = np.mgrid[:40, :56]
    image = Image.fromarray(np.stack([x * 4, y * 6, x * y % 256], axis=-1).astype(np.uint8))
    image = image.convert(options.pop("mode", "RGB"))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


FILES = {
    "jpeg": encoded("JPEG"),
    "progressive jpeg": encoded("JPEG", progressive=True),
    "cmyk jpeg": encoded("JPEG", mode="CMYK"),
    "png": encoded("PNG"),
    "palette png": encoded("PNG", mode="P"),
    "grey png with a profile": encoded("PNG", mode="L", icc_profile=bytes(3000)),
    "gif": encoded("GIF", mode="P"),
    "bmp": encoded("BMP"),
    "dib": encoded("DIB"),
    "webp": encoded("WEBP"),
    "lossless webp": encoded("WEBP", lossless=True),
    "tiff": encoded("TIFF"),
    "lzw tiff": encoded("TIFF", compression="tiff_lzw"),
    "jpeg tiff": encoded("TIFF", compression="jpeg"),
    "ppm": encoded("PPM"),
    "pgm": encoded("PPM", mode="L"),
}


def damaged(data, rng):
    """Cut a file, flip bits, overwrite or lie in its header, or repeat a part of it."""
    out = bytearray(data)
    how = rng.integers(5)
    if how == 0:
        return bytes(out[: rng.integers(len(out))])
    if how == 1:
        for at in rng.integers(len(out), size=rng.integers(1, 20)):
            out[at] ^= 1 << rng.integers(8)
    elif how == 2:
        for at in rng.integers(min(64, len(out)), size=rng.integers(1, 5)):
            out[at] = rng.choice([0, 1, 127, 128, 255])
    elif how == 3:
        at = rng.integers(len(out) - 4)
        out[at : at + 4] = rng.bytes(4)
    else:
        start, end = sorted(rng.integers(len(out), size=2))
        out[end:end] = out[start:end] * int(rng.integers(1, 4))
    return bytes(out)


@pytest.mark.parametrize("kind", FILES)
def test_damage_ends_in_pixels_or_a_reason_of_one_line(kind):
    rng = np.random.default_rng(sorted(FILES).index(kind))
    reasons = set()
    for _ in range(N_EACH):
        data = damaged(FILES[kind], rng)
        for read in (decode, image_size):
            try:
                with warnings.catch_warnings(action="ignore"):
                    read(data)
            except DataError as error:
                reasons.add(str(error))
    assert not any("\n" in reason for reason in reasons)


@pytest.mark.parametrize(
    "begin", [b"", b"P5 ", b"P6\n1 1\n", b"GIF89a", b"BM", b"\x89PNG\r\n\x1a\n"]
)
def test_no_byte_of_another_file_is_told(begin):
    secret = b"root:x:0:0:root:/root:/bin/bash\n"
    for read in (decode, image_size):
        with pytest.raises(DataError) as caught:
            read(begin + secret * 3)
        assert "root" not in str(caught.value)
        assert "bash" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a", "JPEG XL"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    ],
)
def test_kinds_that_are_not_read_are_named(head, kind):
    with pytest.raises(DataError, match=f"found {kind}; read are JPEG, PNG"):
        decode(head + bytes(40))
