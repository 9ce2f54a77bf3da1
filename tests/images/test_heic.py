"""HEIC: read like other images where its package is there, and named where it is not."""

import io

import numpy as np
import pytest
from PIL import Image

from decaf.errors import DataError
from decaf.images import heic
from decaf.images.decode import decode, image_size


@pytest.fixture
def photo() -> tuple[bytes, np.ndarray]:
    """A smooth HEIC image, and its pixels before it was packed."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic is not installed")
    y, x = np.mgrid[:48, :64]
    pixels = np.stack([4 * x, 5 * y, 128 + 0 * x], -1).astype(np.uint8)
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(buffer, quality=95)
    return buffer.getvalue(), pixels


def test_pixels_are_those_that_were_packed(photo):
    data, pixels = photo
    found = decode(data)
    assert found.shape == (3, 48, 64)
    np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), pixels, atol=8)
    assert image_size(data) == (64, 48)


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_is_turned_upright_once(orientation, photo):
    pillow_heif = pytest.importorskip("pillow_heif")
    image = Image.fromarray(photo[1])
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer, jpeg = io.BytesIO(), io.BytesIO()
    packed = pillow_heif.from_pillow(image)
    packed[0].info["exif"] = exif.tobytes()  # from which the turn of the container is made
    packed.save(buffer, quality=95)
    image.save(jpeg, "JPEG", exif=exif, quality=95)
    found, expected = decode(buffer.getvalue()), decode(jpeg.getvalue())
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=16)


def test_a_damaged_one_is_a_reason_of_one_line(photo):
    for data in (photo[0][:200], photo[0][: len(photo[0]) // 2], photo[0][:12] + bytes(20)):
        with pytest.raises(DataError, match=r"broken image|not an image"):
            decode(data)


def test_without_the_package_what_to_install_is_said(monkeypatch):
    monkeypatch.setattr(heic, "INSTALLED", False)
    with pytest.raises(DataError, match="found HEIC; it is read with the extra heic: pip install"):
        decode(b"\0\0\0\x18ftypheic" + bytes(40))
