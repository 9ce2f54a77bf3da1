import numpy as np
import torch

from decaf.regions.roi_pooling import roi_features, roi_scaled, spp_features

MAPS = torch.arange(48.0).view(1, 6, 8)
"""Of an image of 128 x 96 pixels: 16 pixels a place."""
SCALE = (1 / 16, 1 / 16)


def test_a_box_is_pooled_from_the_places_that_it_covers():
    boxes = np.array([[16, 32, 80, 64], [0, 0, 128, 96], [50, 50, 51, 51]])
    found = roi_features(MAPS, boxes, (2, 2), SCALE)[:, 0]
    # edges go to the nearest place: columns 1 to 5, rows 2 to 4, whose middle is in both halves
    assert found[0].tolist() == [[27, 29], [35, 37]]
    assert found[1].tolist() == [[28, 31], [44, 47]]
    assert found[2].unique().tolist() == [27]  # less than a place is one place
    assert roi_features(MAPS, boxes[:0], (2, 2), SCALE).shape == (0, 1, 2, 2)


def test_the_pyramid_has_fifty_cells():
    boxes = np.array([[0, 0, 88, 88]])  # six places a side
    found = spp_features(MAPS.expand(3, -1, -1), boxes, SCALE)
    assert found.shape == (1, 150)
    assert found[0, 0] == found[0, :3].max() == MAPS[0, :, :6].max()
    assert found[0, -36:].tolist() == MAPS[0, :, :6].flatten().tolist()


def test_images_are_resized_by_the_shorter_side_unless_they_are_long():
    small, long = torch.zeros((3, 30, 45)), torch.zeros((3, 30, 300))
    assert roi_scaled(small.byte()).shape == (3, 600, 900)
    assert roi_scaled(long.byte()).shape == (3, 100, 1000)
    assert roi_scaled(small.byte(), 60).shape == (3, 60, 90)
