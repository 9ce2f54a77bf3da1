"""What stands beside a net for comparison: random weights, pixels and chance."""

import numpy as np
import pytest
import torch
from flat import evaluate

from decaf.backbones import load_backbone
from decaf.errors import ConfigError
from decaf.heads.chance import RandomScores
from decaf.report.grid import grids
from decaf.results.files import find_scores


def test_controls_are_rows_of_the_same_table(image_folder, tmp_path):
    options = {
        "backbone": "decaf-mini", "layers": "fc6", "heads": "svm,knn", "device": "cpu",
        "features": tmp_path, "out": tmp_path / "r.csv", "quiet": True, "splits": 2,
    }  # fmt: skip
    table = evaluate(image_folder, **options, controls=True)
    found = [(a.backbone, a.weights, a.layer, a.head) for a in table.aggregates()]
    assert found == [
        ("decaf-mini", "imagenet", "fc6", "svm"),
        ("decaf-mini", "imagenet", "fc6", "knn"),
        ("decaf-mini", "random", "fc6", "svm"),
        ("decaf-mini", "random", "fc6", "knn"),
        ("pixels", "none", "pixels", "svm"),
        ("pixels", "none", "pixels", "knn"),
        ("pixels", "none", "pixels", "chance"),
    ]
    assert len({r.test_digest for r in table if r.split == 0}) == 1
    (grid,) = grids(table)
    assert grid.columns == ("fc6", "pixels")
    labels = ["svm", "knn", "svm, random weights", "knn, random weights", "chance"]
    assert [row.label for row in grid.rows] == labels
    assert all(bool(cell) for cell in grid.rows[0].cells)
    assert not grid.rows[-1].cells[0]
    assert any("nothing learned" in note for note in grid.notes)


def test_controls_of_several_nets_stand_once_with_metrics_scores_and_weights(
    image_folder, tmp_path
):
    table = evaluate(
        image_folder, backbone="decaf-mini,squeezenet1_1", weights="imagenet,random", pool="avg",
        layers="pool5", device="cpu", features=tmp_path, out=tmp_path / "r.csv", quiet=True,
        controls=True, metrics="log-loss", keep_scores=True, class_weight="balanced",
        splits=1,
    )  # fmt: skip
    assert [(r.backbone, r.weights, r.head) for r in table] == [
        ("decaf-mini", "imagenet", "svm"),
        ("squeezenet1_1", "random", "svm"),
        ("decaf-mini", "random", "svm"),
        ("pixels", "none", "svm"),
        ("pixels", "none", "chance"),
    ]
    for r in table:
        assert dict(r.more)["log_loss"] > 0
        kept = find_scores([tmp_path / "r.csv"], r)
        assert kept is not None
        assert kept.measure("top1") == r.value


def test_controls_need_images_and_a_name(image_folder, tmp_path):
    loaded = load_backbone("decaf-mini", device="cpu")
    with pytest.raises(ConfigError, match="found a loaded net; give a data set and a name"):
        evaluate(image_folder, backbone=loaded, controls=True, out=tmp_path / "r.csv")
    with pytest.raises(ConfigError, match=r"found the store .*x.h5; give a data set"):
        evaluate(tmp_path / "x.h5", controls=True, out=tmp_path / "r.csv")


def test_pixels_are_a_small_image_and_its_colours():
    net = load_backbone("pixels", weights="random", device="cpu")
    assert (net.weights, net.default_layers) == ("none", ("pixels",))
    batch = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    batch[0, 0, :, :32] = 255  # its left half red, its right half black
    batch[1] = batch[0].flip(2)
    out = {name: v.numpy() for name, v in net.activations(batch, net.layers).items()}
    expected = np.zeros(64)
    expected[[0, 48]] = 0.5**0.5
    np.testing.assert_allclose(out["histogram"], [expected] * 2, atol=1e-6)
    tiny = out["tiny"].reshape(2, 3, 16, 16)
    np.testing.assert_allclose(tiny[0], tiny[1][:, :, ::-1], atol=1e-6)
    assert (tiny[0, 0, :, :8] > tiny[0, 0, :, 8:].max()).all()
    np.testing.assert_allclose(np.linalg.norm(out["pixels"], axis=1), 2**0.5, rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_chance_is_right_as_often_as_there_are_classes(n_classes):
    X, y = np.zeros((20_000, 3), np.float32), np.arange(20_000) % n_classes
    head = RandomScores(random_state=3).fit(X, y)
    right = (head.predict(X) == y).mean()
    assert abs(right - 1 / n_classes) < 4 * (0.25 / len(y)) ** 0.5
    np.testing.assert_array_equal(head.decision_function(X), head.decision_function(X))
