import numpy as np
from flat import get_protocol

from decaf.protocols import published_protocol_differences


def test_the_published_rule_differs_only_by_its_own_notes(make_table):
    table = make_table([40], name="caltech101")
    protocol = get_protocol("decaf", table)
    assert published_protocol_differences(protocol, table) == list(protocol.notes)


def test_each_departure_is_said(make_table):
    table = make_table([4178], name="caltech101", partial=True)
    used = get_protocol(
        "chatfield",
        table,
        splits=1,
        train_per_class=7,
        view="squash",
        normalize="none",
        box="crop",
        drop_classes=["class-0"],
    )
    assert published_protocol_differences(used, table, n_left_out=2) == [
        "partial data set: 4 178 of 9 144 images",
        "2 images without features are left out",
        "1 split instead of 3",
        "7 training images a class instead of 30",
        "without the classes class-0",
        "view squash instead of center",
        "boxes enlarged 1.5 times instead of whole images",
        "features normalised none instead of l2",
    ]


def test_groups_are_said(make_table):
    table = make_table([3, 2], groups=tuple("aabbc"))
    said = "the images of each of 3 groups are on one side"
    assert published_protocol_differences(get_protocol("kfold", table), table) == [said]


def test_another_grid_than_the_published_is_said(make_table):
    table = make_table([40], name="caltech101")
    used = get_protocol("kornblith", table, c_grid=[0.1])
    expected = "C from 0.1 instead of 45 values in 1e-05 to 1e+06"
    assert expected in published_protocol_differences(used, table)


def test_points_of_a_published_curve_are_no_departure(make_table):
    table = make_table([40], name="caltech101")
    used = get_protocol("zf", table, train_per_class=15)
    assert not any("instead of 30" in w for w in published_protocol_differences(used, table))


def test_own_split_and_missing_test_side_are_said(make_table):
    table = make_table([2, 2], official=np.array([[1, 2, 1, 2]], np.int8).T)
    assert published_protocol_differences(get_protocol("holdout", table), table) == [
        "no labelled test side: tested on the validation side",
        "the data set's own split instead of random ones",
    ]


def test_another_box_than_the_published_is_said(make_table):
    table = make_table([2, 2], name="birds")
    for changes, said in (
        ({"box": "none"}, "whole images instead of boxes enlarged 1.5 times"),
        ({"box_scale": 1.0}, "boxes enlarged 1 times instead of boxes enlarged 1.5 times"),
    ):
        used = get_protocol("decaf", table, **changes)
        assert said in published_protocol_differences(used, table)
