"""Patches from end to end: train, predict, evaluate and look, on scenes with known boxes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scenes import Scene, write_voc
from typer.testing import CliRunner

from decaf.classifier import Classifier
from decaf.cli.app import app
from decaf.datasets import load_dataset
from decaf.datasets.objects import load_objects
from decaf.datasets.patches import patch_table
from decaf.errors import ConfigError
from decaf.evaluation import evaluate
from decaf.images.patches import intersections_over_unions, label_patches
from decaf.onnx_model import export
from decaf.patch_scores import score_patches
from decaf.prediction import predict
from decaf.training import train
from decaf.types import BACKGROUND, PatchRule

NET = {"backbone": "decaf-mini", "device": "cpu", "quiet": True}
SCALES = "2.4,3.2"
COLOURS = [(220, 40, 40), (40, 200, 60), (50, 80, 230), (230, 210, 40)]


def flat_scene(rng: np.random.Generator) -> Scene:
    """Coloured squares, whose class is their colour, on a noisy ground."""
    noise = rng.integers(90, 150, (160, 200, 3), dtype=np.uint8)
    scene = Scene(Image.fromarray(noise), [], [])
    for number in rng.choice(4, rng.integers(1, 3), replace=False):
        side = int(rng.integers(50, 64))
        x = int(rng.integers(0, 100 - side)) + 100 * (len(scene.classes) % 2)
        y = int(rng.integers(0, 160 - side))
        scene.picture.paste(COLOURS[number], (x, y, x + side, y + side))
        scene.classes.append(int(number))
        scene.boxes.append((x, y, x + side, y + side))
    return scene


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    sides = {"train": 40, "val": 10, "test": 24}
    write_voc(root, {side: [flat_scene(rng) for _ in range(n)] for side, n in sides.items()})
    return root


def voc(data: Path):
    return load_dataset("voc2007", data, allow_partial=True)


def test_boxes_and_names_are_those_of_the_annotations(data: Path) -> None:
    table = voc(data)
    objects = load_objects(table)
    assert objects is not None
    for labels, found in zip(table.labels, objects, strict=True):
        assert set(np.flatnonzero(labels > 0)) == set(found.labels)
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        assert ((sides >= 50) & (sides < 64)).all()
        assert not found.difficult.any()


def test_training_pictures_keep_few_background_patches_and_test_pictures_all(data: Path) -> None:
    table = voc(data)
    objects = load_objects(table)
    thin, everything = (
        patch_table(table, PatchRule(scales=(2.4,), background_share=share), objects)
        for share in (0.1, 1.0)
    )
    assert everything.class_names[-1] == BACKGROUND
    background = len(table.class_names)
    for found, share in ((thin, 0.1), (everything, 1.0)):
        test = found.official[:, 0] == 3
        n_test = np.count_nonzero(everything.official[:, 0] == 3)
        assert np.count_nonzero(test) == n_test
        kept = np.count_nonzero((found.labels == background) & ~test)
        total = np.count_nonzero(
            (everything.labels == background) & (everything.official[:, 0] < 3)
        )
        assert kept == pytest.approx(share * total, rel=0.3)
    for row in (0, 30, 60):
        own = np.array([name == table.image_ids[row] for name in everything.image_ids])
        wanted = label_patches(
            everything.boxes[own], objects[row].boxes, objects[row].labels, background
        )
        np.testing.assert_array_equal(everything.labels[own], wanted)


def test_patches_that_show_a_difficult_object_do_not_train(data: Path, tmp_path: Path) -> None:
    table = voc(data)
    objects = load_objects(table)
    rule = PatchRule(scales=(2.4,), background_share=1.0)
    sure = patch_table(table, rule, objects)
    for one in objects:
        one.difficult[:] = True
    unsure = patch_table(table, rule, objects)
    training = sure.official[:, 0] < 3
    shown = (sure.labels < len(table.class_names)) & training
    assert len(unsure.labels) == len(sure.labels) - shown.sum()


@pytest.mark.parametrize("views", ["patches", "dense"])
def test_evaluate_on_patches_finds_small_objects(views: str, data: Path, tmp_path: Path) -> None:
    table = evaluate(
        "voc2007", protocol="oquab", views=views, layers="pool5", pool="avg",
        heads="adaptation,logreg",
        patch_scales=SCALES, data_root=data, allow_partial=True, features=tmp_path,
        out=tmp_path / "r.csv", **NET,
    )  # fmt: skip
    adapted, linear = table.aggregates()
    assert adapted.mean > 0.9
    assert linear.mean > 0.8
    assert (adapted.n_train, adapted.n_test) == (50, 24)
    classes = pd.read_csv(tmp_path / "r-classes.csv")
    assert BACKGROUND not in set(classes["class"])


def test_train_predict_and_look(data: Path, tmp_path: Path) -> None:
    model = train(
        "voc2007", layer="pool5", pool="avg", views="patches", patch_scales=SCALES,
        head="adaptation", data_root=data, allow_partial=True, features=tmp_path,
        out=tmp_path / "m.safetensors", **NET,
    )  # fmt: skip
    classifier = Classifier.load(model)
    assert classifier.class_names[-1] == BACKGROUND
    assert classifier.patches == PatchRule(scales=(2.4, 3.2))
    table = voc(data)
    test = np.flatnonzero(table.official[:, 0] == 3)
    paths = [table.root / table.image_ids[row] for row in test]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(paths[0].read_bytes()[:900])
    csv = predict(model, [*paths, broken], out=tmp_path / "p.csv", all_classes=True, max_failures=1,
                  device="cpu", quiet=True)  # fmt: skip
    found = pd.read_csv(csv)
    assert BACKGROUND not in set(found["class"])
    assert len(found) == len(paths) * (len(classifier.class_names) - 1)
    assert found["probability"].between(0, 1).all()
    failed = pd.read_csv(tmp_path / "p.failures.csv")
    assert failed["path"].tolist() == [str(broken)]
    objects = load_objects(table)
    hits, right = [], []
    for row, scores in zip(test, score_patches(model, paths[:10], device="cpu"), strict=False):
        top = scores.class_names[int(scores.scores.argmax())]
        right.append(table.labels[row, table.class_names.index(top)] == 1)
        for label, box in zip(objects[row].labels, objects[row].boxes, strict=True):
            best = scores.best(table.class_names[label])
            hits.append(float(intersections_over_unions(best[None], box[None])[0, 0]) > 0.3)
            heat = scores.map(table.class_names[label])
            assert heat.shape == scores.pixels.shape[:2]
            assert 0 <= heat.min() <= heat.max() <= 1
    assert np.mean(right) > 0.8
    assert np.mean(hits) > 0.8
    with pytest.raises(ConfigError, match="several crops"):
        export(model)
    result = CliRunner().invoke(
        app, ["visualize", "scores", str(model), str(paths[0]), "--out", str(tmp_path / "s.png"),
              "--classes", "aeroplane,bird"],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "s.png") as drawn:
        assert min(drawn.size) > 150
    result = CliRunner().invoke(
        app, ["visualize", "scores", str(model), str(paths[0]), "--out", str(tmp_path / "s.png"),
              "--classes", "unicorn"],
    )  # fmt: skip
    assert "unicorn" in str(result.exception)


def test_normalised_patches_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="normalisation"):
        evaluate("voc2007", protocol="oquab", layers="pool5", normalize="l2", patch_scales="2.4",
                 heads="adaptation", patches_per_image=2, data_root=data, allow_partial=True,
                 features=tmp_path, out=tmp_path / "r.csv", **NET)  # fmt: skip
