"""Square patches of an image, and what each shows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decaf.errors import ConfigError
from decaf.images.patches import (
    intersections_over_unions,
    label_patches,
    patch_boxes,
)
from decaf.images.views import crop_box
from decaf.types import PatchRule

BACKGROUND = 9


def rule(**options):
    return PatchRule(**{"scales": (2.0,), **options})


def test_the_patches_of_a_small_image_by_hand():
    boxes = patch_boxes(60, 40, rule(scales=(1.0, 2.0)))
    assert boxes[:2].tolist() == [[0, 0, 40, 40], [20, 0, 60, 40]]
    x, y = (0, 10, 20, 30, 40), (0, 10, 20)
    assert boxes[2:].tolist() == [[a, b, a + 20, b + 20] for b in y for a in x]


@settings(max_examples=80, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    scale=st.floats(1, 5),
    overlap=st.sampled_from([0.0, 0.5, 0.8]),
    edges=st.sampled_from(["clip", "reflect"]),
)
def test_patches_are_square_cover_the_image_and_overlap(width, height, scale, overlap, edges):
    boxes = patch_boxes(width, height, rule(scales=(scale,), overlap=overlap, edges=edges))
    side = max(1, round(min(width, height) / scale))
    assert (boxes[:, 2:] - boxes[:, :2] == side).all()
    for axis, size in ((0, width), (1, height)):
        starts = np.unique(boxes[:, axis])
        beyond = side // 2 if edges == "reflect" else 0
        assert starts[0] == -beyond
        assert starts[-1] == size - side + beyond
        assert (np.diff(starts) <= max(1, side * (1 - overlap))).all()


def test_a_number_of_patches_is_spread_over_all_scales():
    few = patch_boxes(500, 375, PatchRule(per_image=20))
    everything = patch_boxes(500, 375, PatchRule())
    assert len(few) == 20
    assert len(everything) > 150
    assert len(np.unique(few[:, 2] - few[:, 0])) >= 4
    assert {tuple(box) for box in few.tolist()} <= {tuple(box) for box in everything.tolist()}


# A patch of 100 x 100 pixels, one object or two of them, and the label by the paper's rule.
CASES = {
    "the object fills the patch": ([(0, 0, 100, 100)], 3),
    "a fifth of the patch, whole": ([(0, 0, 40, 50)], 3),
    "less than a fifth of the patch": ([(0, 0, 40, 49)], BACKGROUND),
    "six tenths of it lie inside": ([(40, 0, 140, 100)], 3),
    "less than six tenths inside": ([(41, 0, 141, 100)], BACKGROUND),
    "large, though little of it inside": ([(0, 0, 400, 400)], BACKGROUND),
    "outside": ([(200, 200, 300, 300)], BACKGROUND),
    "touches the edge": ([(100, 0, 200, 100)], BACKGROUND),
    "two objects show": ([(0, 0, 50, 100), (50, 0, 100, 100)], BACKGROUND),
    "two of one class show": ([(0, 0, 50, 100), (0, 0, 100, 50)], BACKGROUND),
    "one shows, one is too small": ([(0, 0, 60, 100), (80, 80, 100, 100)], 3),
    "none": ([], BACKGROUND),
}


@pytest.mark.parametrize("case", CASES)
def test_labels_of_hand_drawn_cases(case):
    objects, wanted = CASES[case]
    patch = np.array([[0, 0, 100, 100]])
    boxes = np.array(objects, np.float32).reshape(-1, 4)
    labels = np.array([3, 4][: len(objects)], np.int64)
    assert label_patches(patch, boxes, labels, BACKGROUND).tolist() == [wanted]


def test_intersection_over_union_by_hand():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 5, 10]])
    others = np.array([[5, 0, 15, 10], [0, 0, 10, 10], [20, 20, 30, 30]])
    wanted = [[50 / 150, 1, 0], [0, 0.5, 0]]
    np.testing.assert_allclose(intersections_over_unions(boxes, others), wanted)


def test_what_lies_beyond_the_edges_is_mirrored():
    row = torch.arange(6, dtype=torch.uint8)
    image = row.expand(3, 4, 6).contiguous()
    crop = crop_box(image, (-2, -1, 2, 3), edges="reflect")
    assert crop.shape == (3, 4, 4)
    assert crop[0, 0].tolist() == [2, 1, 0, 1]
    assert crop_box(image, (4, 1, 8, 5), edges="reflect")[0, 0].tolist() == [4, 5, 4, 3]
    assert crop_box(image, (-2, -1, 2, 3)).shape == (3, 3, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scales": ()}, "scales"),
        ({"scales": (0.5,)}, "scales"),
        ({"overlap": 1.0}, "overlap"),
        ({"overlap": float("nan")}, "overlap"),
        ({"per_image": 0}, "1 or more"),
        ({"edges": "wrap"}, "edges"),
    ],
)
def test_rules_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        patch_boxes(10, 10, rule(**options))
