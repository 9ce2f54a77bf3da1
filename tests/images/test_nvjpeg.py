"""JPEG files decoded in one call: which ones go there, and what happens to the others.

The call is torchcodec's on either device, so that all but the GPU's own pixels is tested on a CPU.
"""

import io

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from decaf.images import nvjpeg
from decaf.images.decode import decode, regular_jpeg
from decaf.images.nvjpeg import decode_on_gpu

CPU = torch.device("cpu")


def encoded(mode: str = "RGB", kind: str = "JPEG", **options: object) -> bytes:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
    file = io.BytesIO()
    small.resize((40, 30)).convert(mode).save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(exif=exif)


REGULAR = {
    "colour": encoded(),
    "grey": encoded("L"),
    "progressive": encoded(progressive=True),
    **{f"orientation {number}": turned(number) for number in (3, 6, 8)},
    "zeros after its end": encoded() + bytes(7),
}
IRREGULAR = {
    "CMYK": encoded("CMYK"),
    "PNG": encoded(kind="PNG"),
    "cut short": encoded()[:-30],
    "empty": b"",
    "no image": b"<html>\xff\xd9",
    "only its ends": b"\xff\xd8\xff\xd9",
}


@pytest.mark.parametrize("data", REGULAR.values(), ids=REGULAR)
def test_a_regular_file_gives_the_policys_pixels(data: bytes) -> None:
    (image,) = decode_on_gpu([data], CPU)
    assert image is not None
    assert torch.equal(image, decode(data))


@pytest.mark.parametrize("data", IRREGULAR.values(), ids=IRREGULAR)
def test_all_else_is_left_to_the_cpu(data: bytes) -> None:
    assert regular_jpeg(data) is None
    good = encoded()
    first, left, last = decode_on_gpu([good, data, good], CPU)
    assert left is None
    assert first is not None
    assert last is not None
    assert torch.equal(first, decode(good))


def test_a_call_that_fails_costs_only_the_files_it_fails_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = []

    def refusing(files: list[torch.Tensor], **options: object) -> object:
        sizes.append(len(files))
        if any(len(file) == len(grey) for file in files):
            raise RuntimeError("nvjpegDecodeBatched failed: 2")
        return decode_jpeg(files, **options)

    decode_jpeg, grey = nvjpeg.decode_jpeg, encoded("L")
    monkeypatch.setattr(nvjpeg, "decode_jpeg", refusing)
    files = [encoded()] * 16
    files[11] = grey
    images = decode_on_gpu(files, CPU)
    assert [i for i, image in enumerate(images) if image is None] == [11]
    assert len(sizes) <= 1 + 2 * 4  # halves of halves, not one by one


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_the_gpus_pixels_are_near_the_cpus() -> None:
    for data in REGULAR.values():
        (image,) = decode_on_gpu([data], torch.device("cuda"))
        assert image is not None
        off = (image.cpu().int() - decode(data).int()).abs()
        assert off.float().mean() < 2
        assert off.max() <= 24
