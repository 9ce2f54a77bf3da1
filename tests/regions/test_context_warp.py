import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from decaf.backbones import load_backbone
from decaf.backbones.normalize import normalize
from decaf.errors import DataError
from decaf.regions.context_warp import Window, context_window, warp_boxes

PUBLISHED = {  # of a 500 x 375 image, computed from rcnn_im_crop.m
    (50, 60, 149, 259): Window(42, 44, 158, 276, 227, 227, 0, 0),
    (1, 1, 100, 50): Window(1, 1, 109, 55, 211, 212, 16, 15),
    (400, 300, 500, 375): Window(392, 294, 500, 375, 210, 209, 0, 0),
}


@pytest.mark.parametrize(("box", "window"), PUBLISHED.items())
def test_windows_are_those_of_the_published_code(box, window):
    assert context_window(box, (500, 375), 227) == window


def test_the_warp_shows_the_window_and_the_mean_around_it():
    preprocessing = load_backbone("decaf-mini").preprocessing
    image = torch.randint(0, 256, (3, 40, 60), dtype=torch.uint8)
    boxes = np.array([[0, 0, 30, 20], [20, 10, 40, 30]], np.float32)
    found = warp_boxes(image, boxes, preprocessing, context_px=8)
    assert found.shape == (2, 3, 64, 64)
    one = context_window((1, 1, 30, 20), (60, 40), 64, 8)
    assert one.pad_left > 5 < one.pad_top
    cut = image[None, :, : one.bottom, : one.right].float()
    shown = interpolate(cut, (one.height, one.width), mode="bilinear")[0]
    inside = found[0, :, one.pad_top :, one.pad_left :][:, : one.height, : one.width]
    assert torch.equal(inside, shown)
    outside = normalize(found, preprocessing, torch.float32)[0]
    assert outside[:, : one.pad_top].abs().max() < 1e-6 > outside[:, :, : one.pad_left].abs().max()


def test_boxes_of_no_pixel_and_of_few():
    with pytest.raises(DataError, match="lies outside the image of 60 x 40 pixels"):
        context_window((200, 1, 230, 20), (60, 40), 64)
    preprocessing = load_backbone("decaf-mini").preprocessing
    image = torch.zeros((3, 40, 60), dtype=torch.uint8)
    boxes = np.array([[-900, 0, 1, 40], [59, 39, 60, 40], [0.2, 0.4, 0.6, 0.5]], np.float32)
    assert warp_boxes(image, boxes, preprocessing).isfinite().all()
