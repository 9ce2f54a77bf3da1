import numpy as np
import pytest
from flat import get_protocol

from decaf.errors import ConfigError
from decaf.protocols import (
    PROTOCOLS,
    default_protocol,
    protocol_names,
    published_protocol_differences,
)

ALL = [protocol for named in PROTOCOLS.values() for protocol in named.values()]


def test_caltech101_has_the_published_protocols():
    names = protocol_names("caltech101")
    assert names == ("decaf", "zf", "chatfield", "kornblith", "holdout", "kfold")


@pytest.mark.parametrize(
    ("name", "shots", "test", "n_splits"),
    [
        ("decaf", 30, None, 5),
        ("zf", 30, 50, 5),
        ("chatfield", 30, 50, 3),
        ("kornblith", 30, None, 1),
    ],
)
def test_caltech101_protocols_differ_where_the_papers_do(name, shots, test, n_splits):
    protocol = PROTOCOLS["caltech101"][name]
    found = (protocol.train_per_class, protocol.test_per_class, protocol.n_splits)
    assert found == (shots, test, n_splits)
    assert protocol.drop_classes == ()  # 102 classes, background included
    assert protocol.metric == "mean_per_class"


def test_kornblith_tries_45_values():
    grid = PROTOCOLS["caltech101"]["kornblith"].c_grid
    assert len(grid) == 45
    np.testing.assert_allclose([grid[0], grid[-1]], [1e-5, 1e6])  # 1 / weight decay


def test_default_of_caltech101_is_decafs(make_table):
    assert default_protocol(make_table([40], name="caltech101")).name == "decaf"


def test_default_of_own_images_is_a_held_out_fifth(make_table):
    protocol = default_protocol(make_table([10, 10]))
    assert (protocol.name, protocol.draw, protocol.n_splits) == ("holdout", "holdout", 5)


def test_default_of_own_split_is_that_split(make_table):
    sides = np.array([[1, 1, 3, 1, 1, 3]], np.int8).T
    protocol = default_protocol(make_table([3, 3], official=sides))
    assert (protocol.name, protocol.draw, protocol.n_splits) == ("holdout", "official", 1)


def test_several_labels_are_measured_by_average_precision(make_table):
    assert default_protocol(make_table(labels=np.ones((5, 2), np.int8))).metric == "map_area"


def test_rules_can_be_replaced(make_table):
    table = make_table([40], name="caltech101")
    protocol = get_protocol(
        "decaf", table, train_per_class=5, splits=2, seed=7, normalize="l2", c_grid=[1, 0.1]
    )
    assert (protocol.train_per_class, protocol.n_splits, protocol.seed) == (5, 2, 7)
    assert (protocol.normalize, protocol.c_grid) == ("l2", (0.1, 1))
    assert get_protocol("decaf", table) == PROTOCOLS["caltech101"]["decaf"]


def test_unknown_protocol_names_the_choices(make_table):
    with pytest.raises(ConfigError, match="unknown protocol 'decaf' for own; choose one of: holdo"):
        get_protocol("decaf", make_table([3]))


@pytest.mark.parametrize("name", ["voc2012", "voc2012-actions"])
def test_voc_2012_is_measured_by_the_area(name):
    protocol = PROTOCOLS[name][protocol_names(name)[0]]
    assert (protocol.draw, protocol.metric) == ("official", "map_area")
    assert protocol.box == ("crop" if name == "voc2012-actions" else "none")


@pytest.mark.parametrize("name", ["zf", "chatfield"])
def test_voc_2012_says_that_the_published_test_is_another(name):
    assert any("test server" in note for note in PROTOCOLS["voc2012"][name].notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_power": 3.0}, "asked for patch_power, but view 'center' has no patches"),
        ({"patch_pool": "max"}, "asked for patch_pool, but"),
        ({"background_share": 0.5}, "asked for background_share, but"),
        ({"patches_per_image": 4}, "asked for patches, but"),
        ({"view": "patches", "normalize": "l2"}, "patches train without normalisation"),
        ({"view": "patches", "box": "crop"}, "of boxes, which have no patches"),
        ({"patches_per_image": 0}, "patches_per_image is at least 1"),
        ({"box_scale": 2.0}, "asked for box_scale without boxes"),
        ({"seed": -1}, "seed is from 0 to"),
        ({"splits": 0}, "splits is at least 1"),
        ({"view": "patches", "patch_power": 0}, "patch_power is above 0"),
    ],
)
def test_replacements_that_nothing_uses_or_that_make_no_sense_are_refused(
    make_table, options, message
):
    with pytest.raises(ConfigError, match=message):
        get_protocol("holdout", make_table([10, 10]), **options)


def test_rules_of_patches_can_be_replaced(make_table):
    protocol = get_protocol(
        "oquab", make_table([10, 10], name="voc2007"), background_share=0.5, patch_power=1.0
    )
    assert (protocol.background_share, protocol.patch_power) == (0.5, 1.0)
    words = published_protocol_differences(protocol, make_table([10, 10], name="voc2007"))
    assert "0.5 of the background patches train instead of 0.1" in words
