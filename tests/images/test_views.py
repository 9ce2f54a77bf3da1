import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as reference

from decaf.errors import ConfigError, DataError
from decaf.images.decode import decode
from decaf.images.views import VIEWS, crop_box, make_view, n_views
from decaf.types import Preprocessing


def net(input_size_px=64, resize_px=73, interpolation="bilinear"):
    zeros = (0.0, 0.0, 0.0)
    return Preprocessing(input_size_px, resize_px, interpolation, "center", zeros, zeros)


def new_image(width, height):
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 11, 3), dtype=np.uint8))
    smooth = coarse.resize((width, height), Image.Resampling.BICUBIC)
    noise = generator.normal(0, 8, (height, width, 3))
    rows = np.clip(np.asarray(smooth) + noise, 0, 255).astype(np.uint8)
    return torch.from_numpy(rows).permute(2, 0, 1)


def pillow_view(image, view, preprocessing):
    """The view as torchvision makes it of a Pillow image."""
    side = preprocessing.input_size_px
    warp = round(side * 256 / 224)
    size = {"center": [preprocessing.resize_px], "warp": [warp] * 2, "squash": [side] * 2}[view]
    pillow = Image.fromarray(image.permute(1, 2, 0).numpy())
    resized = reference.resize(pillow, size, InterpolationMode(preprocessing.interpolation))
    return reference.pil_to_tensor(reference.center_crop(resized, [side, side]))


def grey_levels_apart(a, b):
    return (a.int() - b.int()).abs().max().item()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(300, 200), (201, 333), (64, 64), (40, 31), (1, 1), (640, 90)])
@pytest.mark.parametrize("view", ["center", "warp", "squash"])
def test_view_is_within_one_grey_level_of_pillow(view, size, interpolation):
    image, preprocessing = new_image(*size), net(interpolation=interpolation)
    made = make_view(image, view, preprocessing)
    assert made.dtype == torch.uint8
    assert made.shape == (3, 64, 64)
    assert grey_levels_apart(made, pillow_view(image, view, preprocessing)) <= 1


def test_center_keeps_the_aspect_and_warp_does_not():
    image = torch.zeros(3, 100, 300, dtype=torch.uint8)
    image[:, :, :100] = 255  # the centre crop of the aspect-true image cannot see this third
    assert make_view(image, "center", net()).max() == 0
    assert make_view(image, "warp", net()).max() == 255
    assert make_view(image, "squash", net())[0, 0].eq(255).float().mean() > 0.3


@pytest.mark.parametrize(("input_size_px", "side"), [(224, 256), (227, 259), (299, 342)])
def test_warp_resizes_to_256_for_a_crop_of_224(input_size_px, side):
    image = new_image(side, side)
    margin = (side - input_size_px) / 2
    top = round(margin)
    expected = image[:, top : top + input_size_px, top : top + input_size_px]
    assert torch.equal(make_view(image, "warp", net(input_size_px)), expected)


def test_center_pads_where_the_net_resizes_to_less_than_its_input():
    image = torch.full((3, 50, 50), 9, dtype=torch.uint8)
    made = make_view(image, "center", net(64, 60))
    assert made.shape == (3, 64, 64)
    assert made[:, 0].max() == 0
    assert made[:, 2:62, 2:62].min() == 9


def test_ten_crop_is_corners_centre_and_their_mirrors():
    image = new_image(120, 73)
    crops = make_view(image, "ten-crop", net())
    corners = [(0, 0), (0, 56), (9, 0), (9, 56), (4, 28)]
    mirrored = image.flip(2)
    expected = [
        source[:, top : top + 64, left : left + 64]
        for source in (image, mirrored)
        for top, left in corners
    ]
    assert torch.equal(crops, torch.stack(expected))


def test_ten_crop_holds_the_center_view():
    image = new_image(200, 111)
    crops = make_view(image, "ten-crop", net())
    assert torch.equal(crops[4], make_view(image, "center", net()))


def test_razavian_16_is_whole_crops_rotations_and_their_mirrors():
    image = new_image(120, 90)
    views = make_view(image, "razavian-16", net())
    assert torch.equal(views[8:], views[:8].flip(3))
    assert torch.equal(views[0], make_view(image, "squash", net()))
    # 80 x 60 of 120 x 90: 4/9 of the area, at the corners and in the centre
    places = [(0, 0), (0, 40), (30, 0), (30, 40), (15, 20)]
    for view, (top, left) in zip(views[1:6], places, strict=True):
        crop = image[:, top : top + 60, left : left + 80]
        assert torch.equal(view, make_view(crop, "squash", net()))


def test_razavian_16_rotates_about_the_centre_to_both_sides():
    image = torch.zeros(3, 64, 64, dtype=torch.uint8)
    image[:, 30:34, 56:60] = 255  # at 3 o'clock, 26 px from the centre
    views = make_view(image, "razavian-16", net())
    rise = 26 * np.sin(np.radians(10))
    for view, sign in ((views[6], -1), (views[7], 1)):  # counter-clockwise is up
        y, x = torch.nonzero(view[0] > 127).float().mean(0).tolist()
        np.testing.assert_allclose(y, 31.5 + sign * rise, atol=0.7)
        np.testing.assert_allclose(x, 31.5 + 26 * np.cos(np.radians(10)), atol=0.7)


def test_ten_crop_needs_room():
    with pytest.raises(ConfigError, match="crops of 64 px, but this net resizes to 60 px"):
        make_view(new_image(99, 99), "ten-crop", net(64, 60))


def test_unknown_view_names_the_choices():
    message = "unknown view 'centre'; did you mean 'center'. choose one of: center, warp, squash"
    with pytest.raises(ConfigError, match=message):
        n_views("centre")
    with pytest.raises(ConfigError, match=message):
        make_view(new_image(9, 9), "centre", net())


@pytest.mark.parametrize("view", ["center", "ten-crop"])
@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_an_elongated_image_is_refused_before_it_fills_the_memory(view, size):
    strip = torch.zeros(3, *size, dtype=torch.uint8)
    with pytest.raises(DataError, match=r"too elongated: .*; use the view 'squash' or 'warp'"):
        make_view(strip, view, net())
    assert make_view(strip, "squash", net()).shape == (3, 64, 64)


@pytest.mark.parametrize(
    ("box", "scale", "expected"),
    [
        ((0, 0, 40, 30), 1.0, (0, 0, 40, 30)),
        ((10, 10, 30, 20), 1.0, (10, 10, 30, 20)),
        ((10, 10, 30, 20), 1.5, (5, 8, 35, 22)),  # 20 x 10 about (20, 15) becomes 30 x 15
        ((0, 0, 20, 10), 1.5, (0, 0, 25, 12)),  # clipped at the corner
        ((30, 20, 50, 40), 1.0, (30, 20, 40, 30)),
    ],
)
def test_crop_box_stretches_about_the_centre_and_clips(box, scale, expected):
    y, x = torch.meshgrid(torch.arange(30), torch.arange(40), indexing="ij")
    cropped = crop_box(torch.stack([x, y, y]).to(torch.uint8), box, scale)
    x0, y0, x1, y1 = expected
    assert cropped.shape == (3, y1 - y0, x1 - x0)
    assert cropped[:2, 0, 0].tolist() == [x0, y0]
    assert cropped[:2, -1, -1].tolist() == [x1 - 1, y1 - 1]


@pytest.mark.parametrize("box", [(50, 0, 60, 10), (5, 5, 5, 9), (9, 5, 5, 9)])
def test_crop_box_outside_the_image_is_an_error(box):
    with pytest.raises(DataError, match="lies outside the image of 40 x 30 pixels"):
        crop_box(torch.zeros(3, 30, 40), box)


@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 200), height=st.integers(1, 200), view=st.sampled_from(list(VIEWS)))
def test_every_size_gives_the_nets_input(width, height, view):
    image = torch.full((3, height, width), 77, dtype=torch.uint8)
    made = make_view(image, view, net(32, 36))
    assert made.shape[-3:] == (3, 32, 32)
    assert made.eq(77).all()


@pytest.mark.data
@pytest.mark.skipif("DECAF_ASSETS" not in os.environ, reason="DECAF_ASSETS names no real images")
@pytest.mark.parametrize(("view", "bound"), [("center", 1), ("warp", 2), ("squash", 2)])
def test_real_images_are_as_pillow_resizes_them(view, bound):
    root = Path(os.environ["DECAF_ASSETS"]) / "data" / "caltech101" / "101_ObjectCategories"
    preprocessing = net(224, 256)
    for file in sorted(root.glob("*/*.jpg"))[::60]:
        image = decode(file.read_bytes())
        made = make_view(image, view, preprocessing)
        assert grey_levels_apart(made, pillow_view(image, view, preprocessing)) <= bound, file
