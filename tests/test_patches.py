"""Patches from end to end: train, predict, evaluate and look, on scenes with known boxes."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat import evaluate, extract, get_protocol, predict, train
from PIL import Image
from scenes import Scene, write_voc
from typer.testing import CliRunner

from decaf.classifier import Classifier
from decaf.cli.app import app
from decaf.datasets import load_dataset
from decaf.datasets.objects import Objects, load_objects
from decaf.datasets.patch_tables import patch_table
from decaf.errors import ConfigError
from decaf.heads import HEADS, fit_splits
from decaf.images.patches import intersections_over_unions, label_patches
from decaf.onnx_model import export
from decaf.patch_scores import score_patches
from decaf.store import FeatureStore
from decaf.stored_images import StoredImages
from decaf.types import BACKGROUND, DIFFICULT, ImageDataset, PatchRule

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
        scene.image.paste(COLOURS[number], (x, y, x + side, y + side))
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


def test_patches_are_labelled_by_what_they_show(data: Path) -> None:
    table = voc(data)
    objects = load_objects(table)
    found = patch_table(table, PatchRule(scales=(2.4,)), objects)
    assert found.class_names == (*table.class_names, BACKGROUND, DIFFICULT)
    background = len(table.class_names)
    for row in (0, 30, 60):
        own = np.array([name == table.image_ids[row] for name in found.image_ids])
        wanted = label_patches(
            found.boxes[own], objects[row].boxes, objects[row].labels, background
        )
        np.testing.assert_array_equal(found.labels[own], wanted)


def test_no_patch_is_dropped_for_what_it_shows(data: Path) -> None:
    """Rows are the same whatever the annotations say: true, others', none, or all difficult."""
    table = voc(data)
    objects = load_objects(table)
    rule = PatchRule(scales=(2.4, 3.2))
    true = patch_table(table, rule, objects)
    nothing = Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, bool))
    difficult = [replace(one, difficult=np.ones(len(one.labels), bool)) for one in objects]
    for other in (objects[::-1], [nothing] * len(objects), difficult):
        found = patch_table(table, rule, other)
        assert list(found.image_ids) == list(true.image_ids)
        assert found.class_names == true.class_names
        np.testing.assert_array_equal(found.boxes, true.boxes)
        np.testing.assert_array_equal(found.official, true.official)


def test_what_shows_a_difficult_object_trains_nothing(data: Path) -> None:
    """Also where it shows two of them."""
    table = voc(data)
    objects = load_objects(table)
    sure = patch_table(table, PatchRule(scales=(2.4,)), objects)
    unsure = [replace(one, difficult=np.ones(len(one.labels), bool)) for one in objects]
    found = patch_table(table, PatchRule(scales=(2.4,)), unsure)
    shown = sure.labels < len(table.class_names)
    assert (found.labels[shown] == len(table.class_names) + 1).all()
    two = Objects(np.array([[0, 0, 60, 30], [0, 30, 60, 60]], np.float32), np.zeros(2, int),
                  np.ones(2, bool))  # fmt: skip
    both = patch_table(table, PatchRule(scales=(2.4,)), [two] * len(objects))
    assert both.labels[0] == len(table.class_names) + 1


def without_test_side(table: ImageDataset) -> ImageDataset:
    """What tested is now the validation side, as in VOC 2012; the old one trains."""
    sides = np.array([0, 1, 1, 2], np.int8)[table.official]
    return replace(table, official=sides)


def without_objects(path: Path, rows: np.ndarray, image_ids: Sequence[str]) -> None:
    for row in rows:
        stem = Path(image_ids[row]).stem
        (path / "Annotations" / f"{stem}.xml").write_text("<annotation></annotation>")


@pytest.mark.slow
def test_the_validation_side_that_tests_is_stored_without_a_look_at_its_objects(
    data: Path, tmp_path: Path
) -> None:
    """Objects of test images are removed from the annotations; their stored rows stay."""
    home = tmp_path / "data"
    shutil.copytree(data, home)
    table = without_test_side(voc(home))
    test = np.flatnonzero(table.official[:, 0] == 2)
    options = {"layers": "pool5", "pool": "avg", "view": "patches", "patch_scales": "3.2", **NET}
    stores = [extract(table, out=tmp_path / "true.h5", **options)]
    without_objects(table.root, test, table.image_ids)
    stores.append(extract(table, out=tmp_path / "removed.h5", **options))
    with FeatureStore(stores[0]) as true, FeatureStore(stores[1]) as removed:
        assert list(true.image_ids) == list(removed.image_ids)
        np.testing.assert_array_equal(true["pool5"][:], removed["pool5"][:])
        np.testing.assert_array_equal(true.boxes, removed.boxes)
        tested = np.isin(list(true.image_ids), [table.image_ids[row] for row in test])
        assert not np.array_equal(true.labels[tested], removed.labels[tested])
        np.testing.assert_array_equal(true.labels[~tested], removed.labels[~tested])


@pytest.mark.slow
def test_labels_of_test_images_change_no_score(data: Path, tmp_path: Path) -> None:
    """The simulation of a leak: an honest score of true labels is that of a model which saw none.

    A head is fitted twice, with the true objects of test images and with none; what it says of
    test images is the same, row by row.
    """
    home = tmp_path / "data"
    shutil.copytree(data, home)
    table = without_test_side(voc(home))
    rule = get_protocol("holdout", table, view="patches", patch_scales=(3.2,))
    options = {"layers": "pool5", "pool": "avg", "view": "patches", "patch_scales": "3.2", **NET}
    (split,) = rule.splits(table)
    assert (table.official[split.test, 0] == 2).all()
    said = []
    for number in range(2):
        path = extract(table, out=tmp_path / f"{number}.h5", **options)
        with FeatureStore(path) as store:
            features = StoredImages(table, store, rule).features("pool5")
            patches = features.training_split(split)
            (fitted,) = fit_splits(
                HEADS["logreg"](device="cpu"), features.train, features.labels(table.labels),
                [replace(patches, inner=())], c_values=((1.0,), 1.0), score=lambda *_: 0.0,
            )  # fmt: skip
            background = len(table.class_names)
            shown = store.labels[patches.train]
            assert (shown <= background).all()
            kept, whole = (np.count_nonzero(x == background) for x in (shown, store.labels[
                features.rows(split.train)]))  # fmt: skip
            assert kept == pytest.approx(0.1 * whole, rel=0.3)
            said.append(
                features.test_scores(fitted.decision_function, split.test, fitted.head.classes_)
            )
        without_objects(table.root, split.test, table.image_ids)
    np.testing.assert_array_equal(*said)


@pytest.mark.slow
@pytest.mark.parametrize("view", ["patches", "dense"])
def test_evaluate_on_patches_finds_small_objects(view: str, data: Path, tmp_path: Path) -> None:
    table = evaluate(
        "voc2007", protocol="oquab", view=view, layers="pool5", pool="avg",
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


@pytest.mark.slow
def test_train_predict_and_look(data: Path, tmp_path: Path) -> None:
    model = train(
        "voc2007", layers="pool5", pool="avg", view="patches", patch_scales=SCALES,
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
