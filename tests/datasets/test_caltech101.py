import os
from pathlib import Path

import numpy as np
import pytest

from decaf.datasets import caltech101
from decaf.datasets.caltech101 import COUNTS, INFO, load
from decaf.errors import DataError


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    """The published tree, of empty files, with the stray folder `tmp`."""
    root = tmp_path_factory.mktemp("data")
    for name, count in COUNTS.items():
        (root / INFO.tree / name).mkdir(parents=True)
        for number in range(1, count + 1):
            (root / INFO.tree / name / f"image_{number:04d}.jpg").touch()
    (root / INFO.tree / "tmp").mkdir()
    (root / INFO.tree / "tmp" / "stray.jpg").touch()
    return root


def test_the_published_counts(data_root):
    table = load(data_root)
    counts = np.bincount(table.labels)
    assert len(table.image_ids) == 9144
    assert len(table.class_names) == 102
    assert counts[table.class_names.index("BACKGROUND_Google")] == 467
    assert 9144 - 467 == 8677 == counts[1:].sum()
    assert {name: counts[table.class_names.index(name)] for name in
            ("inline_skate", "metronome", "binocular", "airplanes", "Motorbikes", "Faces")} == {
        "inline_skate": 31, "metronome": 32, "binocular": 33,
        "airplanes": 800, "Motorbikes": 798, "Faces": 435,
    }  # fmt: skip
    assert table.image_ids[0] == "BACKGROUND_Google/image_0001.jpg"
    assert table.official is None
    assert not table.partial
    assert not any("tmp" in image_id for image_id in table.image_ids)


def test_what_is_left_after_30_to_train(data_root):
    counts = np.bincount(load(data_root).labels)
    assert (counts - 30).sum() == 6084
    assert np.minimum(counts - 30, 50).sum() == 2995
    assert (counts - 30).min() == 1


def test_a_missing_image_is_counted_and_placed(data_root):
    lost = data_root / INFO.tree / "emu" / "image_0007.jpg"
    lost.unlink()
    try:
        with pytest.raises(
            DataError, match=r"9144 .* found 9143 .*: 1 are missing, first in emu \(52"
        ):
            load(data_root)
        assert load(data_root, allow_partial=True).partial
    finally:
        lost.touch()


def test_an_added_image_is_refused(data_root):
    added = data_root / INFO.tree / "ant" / "my_ant.jpg"
    added.touch()
    try:
        with pytest.raises(DataError, match="holds 43 images, more than the published 42"):
            load(data_root, allow_partial=True)
    finally:
        added.unlink()


def test_without_images_it_is_fetched(data_root, tmp_path, monkeypatch):
    def fake_fetch(info, root):
        (root / info.tree).parent.mkdir(parents=True)
        (root / info.tree).symlink_to(data_root / info.tree)

    monkeypatch.setattr(caltech101, "fetch", fake_fetch)
    assert len(load(tmp_path).image_ids) == 9144


@pytest.mark.data
@pytest.mark.skipif("DECAF_ASSETS" not in os.environ, reason="DECAF_ASSETS names no real images")
def test_the_real_part_is_partial():
    table = load(Path(os.environ["DECAF_ASSETS"]) / "data", allow_partial=True)
    assert len(table.image_ids) == 4178
    np.testing.assert_array_equal(
        np.bincount(table.labels), [min(42, count) for count in COUNTS.values()]
    )
    assert table.partial
    assert table.sizes_bytes.min() > 0
