from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from decaf.errors import ConfigError
from decaf.regions import proposals
from decaf.regions.boxes import max_iou, sides
from decaf.regions.proposals import proposal_recall, selective_search, sliding_grid

SQUARES = np.array([[20, 30, 80, 90], [120, 60, 200, 110]])


def scene(seed):
    image = torch.full((3, 160, 240), 90, dtype=torch.uint8)
    for number, (x0, y0, x1, y1) in enumerate(SQUARES):
        image[number, y0:y1, x0:x1] = 250
    noise = torch.randint(0, 30, image.shape, generator=torch.Generator().manual_seed(seed))
    return image // 2 + noise.byte()


def test_selective_search_finds_what_differs_from_its_surroundings():
    boxes = selective_search(scene(0))
    assert max_iou(SQUARES.astype(float), boxes).min() > 0.9
    assert sides(boxes).min() >= 20
    assert len(np.unique(boxes, axis=0)) == len(boxes)
    assert boxes.min() >= 0
    assert (boxes.max(0) <= [240, 160, 240, 160]).all()


def test_boxes_and_their_order_follow_from_the_image_and_its_key_alone():
    first = selective_search(scene(0), "a")
    with ThreadPoolExecutor(2) as pool:
        others = list(pool.map(selective_search, [scene(1), scene(0)], "aa"))
    assert np.array_equal(others[1], first)
    assert len(others[0]) != len(first) or not np.array_equal(others[0], first)
    other_order = selective_search(scene(0), "b")
    assert not np.array_equal(other_order, first)
    assert np.array_equal(np.unique(other_order, axis=0), np.unique(first, axis=0))


def test_wide_images_are_searched_at_one_width():
    wide = scene(0).repeat_interleave(4, 1).repeat_interleave(4, 2)
    boxes = selective_search(wide)
    assert max_iou(4.0 * SQUARES, boxes).min() > 0.85
    assert sides(boxes).min() >= 20 * 960 / 500 - 1e-3


def test_an_opencv_without_the_module_is_named(monkeypatch):
    monkeypatch.delattr("cv2.ximgproc")
    with pytest.raises(ConfigError, match="selective search, found packages of the extra detect"):
        selective_search(scene(0))


def test_the_grid_covers_the_image():
    boxes = sliding_grid(100, 60)
    assert boxes.min() == 0
    assert boxes.max(0).tolist() == [*boxes[:, :2].max(0), 100, 60]
    assert (np.diff(sides(boxes).prod(1)) < 1).mean() > 0.9
    assert max_iou(np.array([[30, 20, 60, 50], [0, 0, 15, 12]]), boxes).min() > 0.5
    assert len(sliding_grid(5, 4)) > 10


def test_recall_counts_objects_by_the_number_of_boxes():
    objects = [np.array([[0, 0, 10, 10], [20, 0, 30, 10.0]]), np.zeros((0, 4))]
    boxes = [np.array([[0, 0, 10, 6], [0, 0, 10, 10], [50, 50, 60, 60.0]]), np.zeros((0, 4))]
    found = proposal_recall(boxes, objects, [0, 1, None])
    assert found[0].tolist() == [0] * 10
    assert found[1].tolist() == [0.5] * 3 + [0] * 7
    assert found[None].tolist() == [0.5] * 10
    assert np.isnan(proposal_recall([boxes[1]], [objects[1]], [1])[1]).all()
    assert proposals.MIN_SIDE_PX == 20
