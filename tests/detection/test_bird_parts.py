"""Birds by parts: which are seen, and that missing ones are zeros."""

import numpy as np
from detection_scenes import MINI, QUIET
from typer.testing import CliRunner

import decaf
from decaf.cli.app import app
from decaf.datasets.birds import LEAST_POINTS, part_boxes
from decaf.detection import extract_bird_parts
from decaf.detection.bird_parts import powered
from decaf.records import Source


def test_a_box_is_tight_about_the_points_that_are_seen():
    points = np.zeros((2, 15, 3))
    points[0, [1, 4, 5]] = [
        [3, 9, 1],
        [7, 2, 1],
        [30, 30, 0],
    ]  # beak, crown; the forehead is hidden
    points[1, [1, 4, 5]] = [[3, 9, 1], [7, 2, 1], [5, 5, 1]]
    found = part_boxes(points)
    assert np.isnan(found["head"][0]).all()
    assert found["head"][1].tolist() == [3, 2, 8, 10]
    assert np.isnan(found["body"]).all()
    assert LEAST_POINTS == 3


def test_parts_stand_side_by_side_and_missing_ones_are_zeros(data_root, tmp_path):
    source = Source(data_root, allow_partial=True, features=tmp_path)
    path = extract_bird_parts(MINI, source=source, compute=QUIET, out=tmp_path / "birds.h5")
    with decaf.FeatureStore(path) as store:
        X = store["pool5"][:]
        assert X.shape == (10, 3 * 2048)
        assert store.done.all()
        box, head, body = np.split(X, 3, axis=1)
    assert (box.any(1) & np.arange(10).astype(bool)).sum() == 9
    assert not head[2].any()  # of the third bird two points are seen, back and tail
    assert not body[2].any()
    assert head[3].any()
    assert body[3].any()
    again = ["--out", str(tmp_path / "again.h5"), "--data-root", str(data_root), "--quiet"]
    again += ["--allow-partial", "--features", str(tmp_path), "--layers", "pool5"]
    done = CliRunner().invoke(app, ["detect", "parts", "--backbone", "decaf-mini", *again])
    assert done.exit_code == 0, done.output
    with decaf.FeatureStore(tmp_path / "again.h5") as store:
        np.testing.assert_array_equal(store["pool5"][:], X)
    assert np.allclose(powered(np.array([-8.0, 0, 1])), [-(8**0.3), 0, 1])
    table = decaf.evaluate(path, heads="svm", compute=QUIET, out=tmp_path / "results.csv")
    assert {(one.dataset, one.protocol) for one in table} == {("birds-parts", "part-oracle")}
