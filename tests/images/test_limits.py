"""What a small file may ask of the machine: refused, or held within stated bounds."""

import io
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from decaf.errors import DataError
from decaf.images.decode import decode, image_size
from decaf.images.limits import MAX_SCANS, room_to_decode

SIDE_PX = 9459  # the largest square that is decoded


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def plain_png(side):
    """Return a PNG file of one bit a pixel and some kilobytes."""
    header = struct.pack(">IIBBBBB", side, side, 1, 3, 0, 0, 0)
    pixels = zlib.compress(bytes((side // 8 + 2) * side), 9)
    chunks = (b"IHDR", header), (b"PLTE", bytes(6)), (b"IDAT", pixels), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def webp_claiming(kind, side):
    corner = struct.pack("<I", side - 1)[:3]
    bits = struct.pack("<I", (side - 1) | (side - 1) << 14)
    heads = {
        b"VP8X": struct.pack("<I", 10) + bytes(4) + corner * 2,
        b"VP8L": struct.pack("<I", 10) + b"\x2f" + bits + bytes(5),
        b"VP8 ": struct.pack("<I", 10) + b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", side, side),
    }
    body = b"WEBP" + kind + heads[kind] + bytes(4)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def progressive(n_more=0, *, metadata=b""):
    buffer = io.BytesIO()
    y, x = np.mgrid[:48, :64]
    pixels = np.stack([x * 4, y * 5, x * y % 256], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    segment = b"\xff\xe2" + struct.pack(">H", len(metadata) + 2) + metadata if metadata else b""
    return data[:2] + segment + data[2:-2] + scan * n_more + data[-2:]


@pytest.mark.parametrize("kind", [b"VP8X", b"VP8L", b"VP8 "])
@pytest.mark.parametrize("read", [decode, image_size])
def test_a_canvas_of_too_many_pixels_is_refused_before_it_is_made(kind, read):
    with pytest.raises(DataError, match="too large: 13376 x 13376 pixels"):
        read(webp_claiming(kind, 13376))


def test_repeated_scans_are_refused_at_once():
    start = time.process_time()
    with pytest.raises(DataError, match=f"more than {MAX_SCANS} scans"):
        decode(progressive(5000))
    assert time.process_time() - start < 1


def test_an_end_in_metadata_hides_no_scan():
    with pytest.raises(DataError, match="scans"):
        decode(progressive(5000, metadata=b"\xff\xd9" * 50))


def test_bytes_of_metadata_that_look_like_scans_are_none():
    many = progressive(metadata=b"\xff\xda" * 500)
    np.testing.assert_array_equal(decode(many).numpy(), decode(progressive()).numpy())


@pytest.mark.parametrize(
    ("kind", "text"),
    [(b"iCCP", b"a\0\0"), (b"zTXt", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"), (b"tEXt", b"a\0")],
)
def test_large_profiles_and_texts_are_no_reason_to_refuse(kind, text):
    buffer = io.BytesIO()
    Image.fromarray(np.arange(300, dtype=np.uint8).reshape(10, 10, 3)).save(buffer, "PNG")
    plain = buffer.getvalue()
    body = bytes(2_000_000) if kind == b"tEXt" else zlib.compress(bytes(2_000_000))
    after_header = 8 + 25
    large = plain[:after_header] + chunk(kind, text + body) + plain[after_header:]
    np.testing.assert_array_equal(decode(large).numpy(), decode(plain).numpy())
    assert image_size(large) == (10, 10)


def test_texts_that_turn_an_image_are_kept():
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x112] = 6
    Image.new("RGB", (20, 10)).save(buffer, "PNG", exif=exif, icc_profile=bytes(2_000_000))
    assert image_size(buffer.getvalue()) == (10, 20)
    assert decode(buffer.getvalue()).shape == (3, 20, 10)


def test_a_thread_that_would_use_too_much_waits():
    order = []

    def decode_another():
        with room_to_decode(SIDE_PX, SIDE_PX, buffered=True):
            order.append("second")

    other = threading.Thread(target=decode_another)
    with room_to_decode(SIDE_PX, SIDE_PX, buffered=True):
        other.start()
        with room_to_decode(64, 64, buffered=True):  # small ones go on beside the largest
            other.join(0.2)
            order.append("first")
    other.join()
    assert order == ["first", "second"]


def tiled_tiff(size, tile):
    """Return a grey TIFF file of one deflated tile."""
    pixels = zlib.compress(bytes(tile * tile), 1)
    tags = {256: size, 257: size, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile}
    tags |= {324: 14 + 12 * 10, 325: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, 10) + entries + bytes(4) + pixels


def test_a_tile_is_not_much_larger_than_the_largest_image():
    assert decode(tiled_tiff(16, 512)).shape == (3, 16, 16)
    with pytest.raises(DataError, match="too large: tiles of 14000 x 14000 pixels for an image of"):
        decode(tiled_tiff(16, 14_000))


@pytest.mark.slow
def test_three_of_the_largest_images_take_no_more_than_is_said():
    data = plain_png(SIDE_PX)
    assert len(data) < 20_000
    code = """
import resource, sys, threading
from decaf.images.decode import decode
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
threads = [threading.Thread(target=lambda: decode(data).shape) for _ in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, input=data, capture_output=True, check=True)
    assert int(done.stdout) * 1024 < 3 * 8 * SIDE_PX**2
