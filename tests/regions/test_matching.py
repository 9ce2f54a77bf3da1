import numpy as np
import pytest

from decaf.regions.matching import Truth, match_detections

PLAIN, DIFFICULT, BACKGROUND = (0, 0, 10, 10), (20, 0, 30, 10), (50, 50, 60, 60)


def truth(*objects):
    boxes = np.array([box for box, _ in objects], float).reshape(-1, 4)
    return Truth(boxes, np.array([difficult for _, difficult in objects], bool))


def test_difficult_objects_count_as_nothing_and_duplicates_as_false():
    boxes = np.array([PLAIN, PLAIN, DIFFICULT, BACKGROUND], float)
    found = match_detections(
        np.zeros(4, int),
        boxes,
        np.array([4, 3, 2, 1.0]),
        [truth((PLAIN, False), (DIFFICULT, True))],
    )
    assert found.hits.tolist() == [1, -1, 0, -1]
    assert found.n_objects == 1
    assert found.ap_11pt == found.ap_area == 1


def test_missed_objects_lower_the_average_precision():
    """Right, false, right of three objects: 5/9 by area, 6/11 by eleven points."""
    boxes = np.array([PLAIN, BACKGROUND, PLAIN, BACKGROUND], float)[[2, 1, 0]]
    images = np.array([1, 0, 0])
    objects = [truth((PLAIN, False)), truth((PLAIN, False)), truth((PLAIN, False))]
    found = match_detections(images, boxes, np.array([0.1, 0.5, 0.9]), objects)
    assert found.hits.tolist() == [1, -1, 1]
    assert found.order.tolist() == [2, 1, 0]
    assert found.ap_area == pytest.approx(0.555556, abs=1e-6)
    assert found.ap_11pt == pytest.approx(0.545455, abs=1e-6)


def test_a_detection_is_of_the_object_that_it_overlaps_most():
    near = (1, 0, 11, 10)
    boxes = np.array([near, PLAIN, (0, 0, 10, 4)], float)
    objects = [truth((PLAIN, False), (near, False))]
    found = match_detections(np.zeros(3, int), boxes, np.array([3, 2, 1.0]), objects)
    assert found.hits.tolist() == [1, 1, -1]
    assert found.overlaps.tolist() == pytest.approx([1, 1, 0.4])


def test_nothing_found_and_nothing_to_find():
    nothing = (np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))
    missed = match_detections(*nothing, [truth((PLAIN, False))])
    assert missed.ap_11pt == missed.ap_area == 0
    for objects in (truth(), truth((DIFFICULT, True))):
        assert np.isnan(match_detections(*nothing, [objects]).ap_area)
    false = match_detections(np.zeros(1, int), np.array([PLAIN], float), np.ones(1), [truth()])
    assert false.hits.tolist() == [-1]
