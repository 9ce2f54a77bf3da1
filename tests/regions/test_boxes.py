import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decaf.regions.boxes import box_iou, clipped, max_iou, nms


def test_iou_with_and_without_the_last_pixel():
    """R-CNN's example: 0.633803 with the last pixel counted, as published boxes are."""
    P, G = np.array([[10, 20, 59, 119]]), np.array([[15, 15, 74, 124]])
    assert box_iou(P, G, inclusive=True) == pytest.approx(0.633803, abs=1e-6)
    assert box_iou(P, G) == pytest.approx(44 * 99 / (49 * 99 + 59 * 109 - 44 * 99))
    half_open = [boxes + np.array([-1, -1, 0, 0]) for boxes in (P, G)]
    assert box_iou(*half_open) == pytest.approx(box_iou(P, G, inclusive=True))


def test_iou_of_nothing():
    empty = np.zeros((0, 4))
    assert box_iou(empty, np.ones((2, 4))).shape == (0, 2)
    assert max_iou(np.array([[0, 0, 2, 2.0]]), empty).tolist() == [0]
    assert box_iou(np.array([[3, 3, 3, 3]]), np.array([[3, 3, 3, 3]])).item() == 0


box = st.tuples(*[st.integers(0, 30)] * 2, *[st.integers(1, 30)] * 2).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(box, min_size=1, max_size=12), st.sampled_from([0.0, 0.3, 0.7]))
def test_nms_keeps_what_no_better_box_covers(boxes, iou):
    boxes = np.array(boxes, float)
    scores = np.random.default_rng(0).permutation(len(boxes)).astype(float)
    kept, overlaps = [], box_iou(boxes, boxes)
    for number in np.argsort(-scores):
        if all(overlaps[number, other] <= iou for other in kept):
            kept.append(number)
    assert nms(boxes, scores, iou).tolist() == kept


def test_nms_counts_the_last_pixel_where_it_is_asked():
    """Two boxes of 2 x 1 pixels that share one: a third of their union, or nothing."""
    boxes, scores = np.array([[0, 0, 1, 0], [1, 0, 2, 0]]), np.array([1, 2])
    assert nms(boxes, scores, 0.3, inclusive=True).tolist() == [1]
    assert nms(boxes, scores, 0.3).tolist() == [1, 0]


def test_boxes_are_cut_to_the_image():
    found = clipped(np.array([[-5, 2, 40, 90], [60, 60, 70, 70]]), 50, 40)
    assert found.tolist() == [[0, 2, 40, 40], [50, 40, 50, 40]]
