import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from decaf.errors import ConfigError, DataError
from decaf.images.decode import decode
from decaf.images.limits import MAX_PIXELS


def new_image(width=90, height=70):
    """An image with edges, ramps and colour, not symmetric under any flip."""
    y, x = np.mgrid[:height, :width]
    planes = [x * 255 // width, y * 255 // height, (x * y * 7 + (x // 9) * 40) % 256]
    return Image.fromarray(np.stack(planes, axis=-1).astype(np.uint8))


def encode(image, fmt="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **options)
    return buffer.getvalue()


def exif(orientation):
    block = Image.Exif()
    block[0x112] = orientation
    return block


def with_app1(payload):
    jpeg = encode(new_image())
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def orientation_entry(kind, count, value):
    return (
        b"Exif\0\0II*\0\x08\0\0\0"
        + struct.pack("<HHHI", 1, 0x112, kind, count)
        + value.ljust(4, b"\0")
        + b"\0\0\0\0"
    )


def reference(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def rows(tensor):
    return tensor.permute(1, 2, 0).numpy()


def png_header(width, height):
    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + (chunk(b"IEND", b""))
    )


def jpeg_claiming(width, height):
    data = bytearray(encode(new_image()))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


XMP_SIDEWAYS = (
    b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x='adobe:ns:meta/'>"
    b'<rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
)

JPEGS = {
    "4:4:4": encode(new_image(), subsampling=0),
    "4:2:2 of odd size": encode(new_image(101, 77), subsampling=1),
    "4:2:0 of odd size": encode(new_image(101, 77), subsampling=2),
    "progressive": encode(new_image(), progressive=True),
    "grey": encode(new_image().convert("L")),
    "RGB stored as RGB": encode(new_image(), keep_rgb=True),
    "CMYK by Adobe": encode(new_image().convert("CMYK")),
    "several images": encode(new_image(), "MPO", save_all=True, append_images=[new_image()]),
    "1x1": encode(new_image(1, 1)),
    "trailing bytes": encode(new_image()) + bytes(64),
    "XMP orientation": with_app1(XMP_SIDEWAYS),
    "EXIF of one byte kind": with_app1(orientation_entry(1, 1, b"\6")),
    "EXIF without values": with_app1(orientation_entry(3, 0, b"\6")),
    "EXIF that is not one": with_app1(b"Exif\0\0garbage"),
    "EXIF long": with_app1(orientation_entry(4, 1, b"\6")),
    "EXIF unknown orientation": encode(new_image(), exif=exif(9)),
} | {f"EXIF {k}": encode(new_image(), exif=exif(k)) for k in range(1, 9)}


@pytest.mark.parametrize("pixels", ["auto", "pillow"])
@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_gives_the_bits_of_pillow(kind, pixels):
    np.testing.assert_array_equal(rows(decode(JPEGS[kind], pixels)), reference(JPEGS[kind]))


def test_jpeg_orientation_turns_the_image():
    upright = rows(decode(JPEGS["EXIF 1"]))
    assert upright.shape == (70, 90, 3)
    np.testing.assert_array_equal(rows(decode(JPEGS["EXIF 6"])), np.rot90(upright, -1))
    np.testing.assert_array_equal(rows(decode(JPEGS["EXIF 8"])), np.rot90(upright))
    np.testing.assert_array_equal(rows(decode(JPEGS["EXIF 2"])), upright[:, ::-1])


def test_adobe_cmyk_is_not_inverted():
    red = Image.new("RGB", (16, 16), (230, 20, 20)).convert("CMYK")
    mean = rows(decode(encode(red, quality=95))).mean(axis=(0, 1))
    np.testing.assert_allclose(mean, (230, 20, 20), atol=12)


@pytest.mark.parametrize("fmt", ["PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP"])
def test_other_formats_are_read_by_content(fmt):
    options = {"lossless": True} if fmt == "WEBP" else {}
    image = new_image().quantize(64).convert("RGB")
    np.testing.assert_array_equal(rows(decode(encode(image, fmt, **options))), np.asarray(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_once_in_other_formats(fmt, orientation):
    data = encode(new_image(), fmt, exif=exif(orientation))
    upright = np.asarray(Image.open(io.BytesIO(encode(new_image(), fmt))).convert("RGB"))
    swapped = upright.transpose(1, 0, 2) if orientation > 4 else upright
    assert rows(decode(data)).shape == swapped.shape
    np.testing.assert_array_equal(rows(decode(data)), reference(data))


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_becomes_three_equal_channels(mode):
    image = new_image().convert(mode)
    pixels = rows(decode(encode(image, "PNG")))
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 1])
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    np.testing.assert_array_equal(pixels[..., 0], np.asarray(image.convert("L")))


def test_alpha_is_dropped():
    image = new_image()
    clear = image.copy()
    clear.putalpha(0)
    np.testing.assert_array_equal(rows(decode(encode(clear, "PNG"))), np.asarray(image))


@pytest.mark.parametrize("transparency", [3, bytes(range(64))])
def test_palette_keeps_its_colours(transparency):
    image = new_image().quantize(64)
    data = encode(image, "PNG", transparency=transparency)
    np.testing.assert_array_equal(rows(decode(data)), np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("fmt", ["PNG", "PPM", "TIFF"])
def test_16_bit_grey_keeps_its_high_byte(fmt):
    values = np.linspace(0, 65535, 90 * 70).astype(np.uint16).reshape(70, 90)
    pixels = rows(decode(encode(Image.fromarray(values), fmt)))
    np.testing.assert_array_equal(pixels[..., 1], values >> 8)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_range_are_refused(dtype):
    with pytest.raises(DataError, match="no fixed range; save the image with 8 or 16 bits"):
        decode(encode(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"))


def test_animation_gives_its_first_frame():
    first, second = new_image().quantize(64), Image.new("RGB", (90, 70), "red").quantize(64)
    data = encode(first, "GIF", save_all=True, append_images=[second])
    np.testing.assert_array_equal(rows(decode(data)), np.asarray(first.convert("RGB")))


@pytest.mark.parametrize("pixels", ["auto", "pillow"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"not an image at all, just text", "not an image: found other data; read are JPEG, PNG"),
        (b"<!DOCTYPE html><html></html>", "not an image: found a text of markup; read are"),
        (bytes(1000), "not an image"),
        (encode(new_image())[:2], "not an image|broken image"),
        (encode(new_image(), "PNG")[:-200], "broken image: .*truncated"),
        (encode(new_image(), "BMP")[:200], "broken image"),
        (encode(new_image(), "GIF")[:-200], "broken image"),
        (png_header(20_000, 20_000), "broken image: .*400000000 pixels"),
        (png_header(10_000, 10_000), "100000000 pixels|10000 x 10000 pixels"),
        (jpeg_claiming(20_000, 20_000), "broken image: .*400000000 pixels"),
        (jpeg_claiming(20_000, 5_000), "100000000 pixels|20000 x 5000 pixels"),
    ],
)
def test_broken_files_are_refused_with_a_reason_of_one_line(data, reason, pixels):
    with pytest.raises(DataError, match=reason) as caught:
        decode(data, pixels)
    assert "\n" not in str(caught.value)


def test_too_large_is_refused_whatever_the_callers_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match=f"10000 x 10000 pixels, at most {MAX_PIXELS}"):
            decode(png_header(10_000, 10_000))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("pixels", ["auto", "pillow"])
def test_truncated_jpeg_is_never_filled_up(progressive, share, pixels):
    data = encode(new_image(300, 200), progressive=progressive)
    with pytest.raises(DataError, match="image"):
        decode(data[: int(share * len(data))], pixels)


def test_jpeg_without_its_last_byte_is_refused():
    with pytest.raises(DataError, match="truncated"):
        decode(encode(new_image())[:-1])


def test_an_unknown_decoder_names_the_choices():
    with pytest.raises(ConfigError, match="unknown decoder 'cv2'; choose one of: auto, pillow"):
        decode(JPEGS["grey"], "cv2")


def test_many_threads_give_the_same_pixels():
    files = [*JPEGS.values(), encode(new_image().quantize(64), "PNG", transparency=bytes(64))] * 8
    alone = [decode(data) for data in files]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(decode, files))
    for a, b in zip(alone, together, strict=True):
        assert torch.equal(a, b)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(
        [*JPEGS.values(), encode(new_image(), "PNG"), encode(new_image(), "TIFF")]
    ),
    damage=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=4),
    keep=st.floats(0.3, 1),
)
def test_damaged_files_end_in_pixels_or_a_data_error_and_both_decoders_agree(kind, damage, keep):
    data = bytearray(kind)
    for where, value in damage:
        data[int(where * (len(data) - 1))] = value
    data = bytes(data[: max(1, int(keep * len(data)))]) if keep < 0.9 else bytes(data)
    try:
        expected = decode(data, "pillow")
    except DataError:
        with pytest.raises(DataError):
            decode(data)
    else:
        assert torch.equal(decode(data), expected)


@pytest.mark.data
@pytest.mark.skipif("DECAF_ASSETS" not in os.environ, reason="DECAF_ASSETS names no real images")
def test_real_images_give_the_bits_of_pillow():
    root = Path(os.environ["DECAF_ASSETS"]) / "data" / "caltech101" / "101_ObjectCategories"
    files = sorted(root.glob("*/*.jpg"))[::20]
    assert len(files) > 100
    for file in files:
        data = file.read_bytes()
        np.testing.assert_array_equal(rows(decode(data)), reference(data), err_msg=str(file))
