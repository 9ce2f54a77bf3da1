"""Evaluation: honest choices, honest numbers, a table that says what was run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat import evaluate
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import decaf
from decaf.datasets import load_dataset
from decaf.errors import ConfigError, DataError
from decaf.heads import HEADS, fit_splits
from decaf.metrics import METRICS
from decaf.report.figures import curve_figure
from decaf.report.grid import grids
from decaf.results import ResultTable
from decaf.store.layer import StoredLayer
from decaf.types import ImageDataset, Split

NET = {"backbone": "decaf-mini", "weights": "random", "device": "cpu", "quiet": True}


def run(folder: Path, tmp_path: Path, **options: object) -> ResultTable:
    settings = {**NET, "pool": "avg", "out": tmp_path / "r.csv", "features": tmp_path / "features"}
    return evaluate(folder, **settings | options)


def test_colours_are_learned_and_written(image_folder: Path, tmp_path: Path) -> None:
    table = run(
        image_folder, tmp_path, layers="features.pool2,pool5", heads="svm,logreg,knn", splits=3
    )
    frame = table.to_frame()
    assert list(zip(frame["layer"], frame["head"], strict=True)) == [
        (layer, head) for layer in ("features.pool2", "pool5") for head in ("svm", "logreg", "knn")
    ]
    assert (frame["n_splits"] == 3).all()
    assert (frame["mean"] > 0.9).all()
    assert (frame["weights"] == "random").all()
    assert frame.loc[frame["head"] != "knn", "C"].notna().all()
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "r.csv")[["mean", "std", "n_train"]],
        frame[["mean", "std", "n_train"]],
    )
    assert len(pd.read_csv(tmp_path / "r-splits.csv")) == 18


def test_a_layer_is_read_once_whatever_is_trained_on_it(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, read = StoredLayer._take, []

    def counted(self: StoredLayer, rows: np.ndarray, rest: tuple[object, ...]) -> np.ndarray:
        read.append(len(rows))
        return take(self, rows, rest)

    monkeypatch.setattr(StoredLayer, "_take", counted)
    run(image_folder, tmp_path, layers="pool5", heads="svm,knn", splits=2)
    assert sum(read) == len(list(image_folder.rglob("*.png")))


def test_several_shots_make_a_learning_curve(image_folder: Path, tmp_path: Path) -> None:
    table = run(
        image_folder,
        tmp_path,
        layers="pool5",
        protocol="kfold",
        splits=2,
        train_per_class="1,2,4",
    )
    frame = table.to_frame()
    assert frame["shots"].tolist() == [1, 2, 4]
    assert frame["n_train"].tolist() == [3, 6, 12]


def test_the_test_rows_are_not_seen_by_the_choice_of_c() -> None:
    """Labels are noise but for one feature that tells the class of the test rows alone."""
    rng = np.random.default_rng(0)
    n_train, n_test, n_features = 120, 400, 40
    y = rng.integers(0, 2, n_train + n_test)
    X = rng.standard_normal((n_train + n_test, n_features)).astype(np.float32)
    X[n_train:, 0] = 30 * (2 * y[n_train:] - 1)
    train, test = np.arange(n_train), np.arange(n_train, n_train + n_test)
    split = Split(train, test, ((train[:90], train[90:]),), 0)
    grid = (1e-4, 1e-2, 1.0, 100.0)
    chosen = {}
    for planted in (True, False):
        Z = X.copy()
        if not planted:
            Z[n_train:] = 0
        (fit,) = fit_splits(
            HEADS["svm"](device="cpu"),
            Z,
            y,
            [split],
            c_values=(grid, 1.0),
            score=METRICS["top1"].score,
        )
        chosen[planted] = fit
    assert chosen[True].C == chosen[False].C
    np.testing.assert_array_equal(chosen[True].head.coef_, chosen[False].head.coef_)
    assert chosen[True].validation.max() < 0.7


def test_unusable_images_neither_train_nor_test(image_folder: Path, tmp_path: Path) -> None:
    for name in ("red/1.png", "blue/2.png"):
        (image_folder / name).write_bytes(b"broken")
    frame = run(image_folder, tmp_path, layers="pool5", splits=2, max_failures=0.2).splits_frame()
    assert (frame["n_train"] + frame["n_test"] == 22).all()
    assert frame["notes"].str.contains("2 images without features are left out").all()


@pytest.mark.parametrize("normalize", ["none", "l2", "standard"])
def test_every_normalisation_learns(image_folder: Path, tmp_path: Path, normalize: str) -> None:
    frame = run(
        image_folder, tmp_path, layers="features.pool2", splits=2, normalize=normalize
    ).to_frame()
    assert frame["mean"].item() > 0.8
    assert frame["normalize"].item() == normalize


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heads": "forest"}, ConfigError, "unknown head 'forest'; choose one of: svm"),
        ({"heads": ""}, ConfigError, "unknown head ''"),
        ({"protocol": "decaf"}, ConfigError, "unknown protocol 'decaf' for images"),
        ({"c_grid": "1,x"}, ConfigError, "c_grid takes numbers separated by commas, found '1,x'"),
        ({"c_grid": "0,1"}, ConfigError, "values above 0"),
        ({"train_per_class": "2.5"}, ConfigError, "whole numbers, found '2.5'"),
        ({"splits": 0}, ConfigError, "splits is at least 1"),
        ({"heads": "knn", "c_grid": "1"}, ConfigError, "have no C; leave it out"),
        ({"drop_classes": "blue,red"}, ConfigError, "keep two or more"),
    ],
)
def test_wrong_options_are_named(
    image_folder: Path,
    tmp_path: Path,
    options: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        run(image_folder, tmp_path, **options)


def test_a_class_with_too_few_images_is_named(image_folder: Path, tmp_path: Path) -> None:
    for number in range(1, 8):
        (image_folder / "green" / f"{number}.png").unlink()
    with pytest.raises(DataError, match="green"):
        run(image_folder, tmp_path)


def test_features_work_in_a_scikit_learn_pipeline(image_folder: Path) -> None:
    paths = sorted(image_folder.glob("*/*.png"))
    labels = [path.parent.name for path in paths]
    options = {k: v for k, v in NET.items() if k != "quiet"}
    features = decaf.DecafFeatures(**options, layer="features.pool2", pool="avg")
    model = make_pipeline(features, LogisticRegression(max_iter=1000))
    model.fit(paths[::2], labels[::2])
    assert model.score(paths[1::2], labels[1::2]) > 0.8
    assert features.transform(paths[:3]).shape == (3, features.n_features_out_)
    with pytest.raises(DataError, match=r"nowhere\.jpg"):
        features.transform([image_folder / "nowhere.jpg"])


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Twelve images in the layout of CUB-200-2011; only the boxes hold the class's colour."""
    rng = np.random.default_rng(0)
    home = tmp_path / "data" / "birds" / "CUB_200_2011"
    lists: dict[str, list[str]] = {name: [] for name in CUB_LISTS}
    for number in range(1, 13):
        species = number % 2
        name = f"00{species + 1}.Bird/{number}.jpg"
        (home / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        pixels[24:40, 24:40] = (250, 0, 0) if species else (0, 0, 250)
        Image.fromarray(pixels).save(home / "images" / name, quality=95)
        lists["images"].append(f"{number} {name}")
        lists["image_class_labels"].append(f"{number} {species + 1}")
        lists["train_test_split"].append(f"{number} {int(number <= 8)}")
        lists["bounding_boxes"].append(f"{number} 25.0 25.0 16.0 16.0")
    lists["classes"] = ["1 001.Bird", "2 002.Bird"]
    for name, lines in lists.items():
        (home / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path / "data"


CUB_LISTS = ("images", "image_class_labels", "train_test_split", "bounding_boxes", "classes")


def test_boxes_make_their_own_store_and_are_said(birds: Path, tmp_path: Path) -> None:
    options = {**NET, "layers": "pool5", "pool": "avg", "features": tmp_path / "features"}
    options |= {"data_root": birds, "allow_partial": True, "out": tmp_path / "r.csv"}
    found = {}
    for box in ({}, {"box_scale": 1.0}, {"box": "none"}):
        (result,) = evaluate("birds", protocol="decaf", **options, **box)
        found[result.view] = result
    assert set(found) == {"warp of box x 1.5", "warp of box x 1", "warp"}
    assert len({result.digest for result in found.values()}) == 3
    assert found["warp of box x 1"].value == 1.0
    whole = [note for note in found["warp"].notes if "box" in note]
    assert whole == ["whole images instead of boxes enlarged 1.5 times"]


def test_sixteen_views_train_apart_and_are_summed(birds: Path, tmp_path: Path) -> None:
    options = {**NET, "layers": "pool5", "pool": "avg", "features": tmp_path / "features"}
    options |= {"data_root": birds, "allow_partial": True, "out": tmp_path / "r.csv"}
    (result,) = evaluate("birds", protocol="razavian-aug", **options)
    assert (result.n_train, result.n_test) == (8, 4)
    assert result.view == "razavian-16 of box x 1.5"
    assert result.normalize == "signed-square"
    assert result.C == 2.0


def test_boxes_where_there_are_none_are_refused(image_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="box 'crop' was asked of images, which has no boxes"):
        run(image_folder, tmp_path, box="crop")
    with pytest.raises(ConfigError, match="unknown box 'part'; choose one of: none, crop"):
        run(image_folder, tmp_path, box="part")


def test_images_on_both_sides_are_warned_of(image_folder: Path, tmp_path: Path, capsys) -> None:
    for side in ("train", "test"):
        for folder in sorted(image_folder.glob("[!t]*")):
            target = tmp_path / "sides" / side / folder.name
            target.mkdir(parents=True)
            names = ("0.png", "1.png", "2.png") if side == "train" else ("2.png", "3.png")
            for name in names:
                (target / name).write_bytes((folder / name).read_bytes())
    table = run(tmp_path / "sides", tmp_path, layers="pool5", c_grid="1")
    said = "3 of 6 test images also stand in training"
    assert said in capsys.readouterr().err
    assert said in table.results[0].notes


def test_nothing_is_warned_of_where_no_image_leaks(
    image_folder: Path, tmp_path: Path, capsys
) -> None:
    table = run(image_folder, tmp_path, layers="pool5", splits=1)
    assert "also stand" not in capsys.readouterr().err + " ".join(table.results[0].notes)


def test_confusions_count_every_test_row(image_folder: Path, tmp_path: Path) -> None:
    (result,) = run(image_folder, tmp_path, layers="pool5", splits=1)
    right = sum(n for label, predicted, n, _ in result.confusion if label == predicted)
    assert sum(n for _, _, n, _ in result.confusion) == result.n_test
    top1 = result.value if result.metric == "top1" else result.other_value
    np.testing.assert_allclose(right / result.n_test, top1)
    assert all(example.startswith(f"{label}/") for label, _, _, example in result.confusion)
    assert result.device == "cpu"


def split_folder(image_folder: Path) -> ImageDataset:
    """A table with a split of its own, so that rows do not depend on the seed."""
    table = load_dataset(image_folder, Path("data"))
    sides = np.where(np.arange(24) % 4 == 0, 3, 1).astype(np.int8)[:, None]
    return replace(table, official=sides)


def test_the_seed_reaches_heads_that_draw(image_folder: Path, tmp_path: Path) -> None:
    """Rows are fixed by the data set's own split; what a head draws is not."""
    table = split_folder(image_folder)
    options = {"backbone": "decaf-mini", "weights": "imagenet", "layers": "fc6", "pool": "none"}
    options |= {"heads": "svm-dropout,logreg-dropout"}
    found = [
        [result.objective for result in run(table, tmp_path, seed=seed, **options).results]
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1]
    assert all(a != b for a, b in zip(found[0], found[2], strict=True))


def test_what_is_said_of_a_head_that_is_not_asked_for_is_refused(
    image_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="recipe without the head finetune"):
        run(image_folder, tmp_path, layers="pool5", recipe="epochs=3")
    for option in ({"background_share": 0.5}, {"patch_power": 2.0}, {"patches_per_image": 3}):
        with pytest.raises(ConfigError, match="has no patches"):
            run(image_folder, tmp_path, layers="pool5", **option)


def test_shares_of_the_training_images_make_a_learning_curve(
    image_folder: Path, tmp_path: Path
) -> None:
    table = run(image_folder, tmp_path, layers="pool5", splits=2, train_per_class="20%,50%,6")
    frame = table.to_frame()
    assert frame["train_share"].tolist()[:2] == [0.2, 0.5]
    assert frame["n_train"].tolist() == [3, 9, 18]
    assert [row.drawn for row in table.aggregates()] == ["20 %", "50 %", "6"]
    assert "1 training images a class, 20 % of those there are" in table.results[0].notes
    assert ResultTable.from_csv(tmp_path / "r.csv").results[0].train_share == 0.2
    (grid,) = grids(table)
    assert [row.label for row in grid.rows] == ["20 %", "50 %", "6"]
    assert curve_figure(table).axes


def test_balanced_classes_weigh_alike(image_folder: Path, tmp_path: Path) -> None:
    for number in range(2, 8):
        (image_folder / "green" / f"{number}.png").unlink()
    options = {"layers": "pool5", "splits": 1, "c_grid": "1e-6"}
    plain, balanced = (
        run(image_folder, tmp_path, heads="svm,logreg", class_weight=weight, **options)
        for weight in (None, "balanced")
    )
    assert len(pd.read_csv(tmp_path / "r.csv")) == 4
    for one, other in zip(plain, balanced, strict=True):
        assert other.settings.endswith("class_weight=balanced")
        assert one.objective != other.objective
        assert "class weights balanced instead of none" in other.notes


@pytest.mark.parametrize("head", ["knn", "adaptation", "finetune"])
def test_heads_without_class_weights_are_refused(
    image_folder: Path, tmp_path: Path, head: str
) -> None:
    with pytest.raises(ConfigError, match=f"weighs classes, which head {head} cannot"):
        run(image_folder, tmp_path, heads=head, class_weight="balanced")


def test_the_bootstrap_interval_of_one_split_is_shown(image_folder: Path, tmp_path: Path) -> None:
    (one,) = run(image_folder, tmp_path, layers="pool5", splits=1).aggregates()
    assert one.boot_low <= one.mean <= one.boot_high
    assert one.boot_over == f"{one.n_test} images"
    (several,) = run(image_folder, tmp_path, layers="pool5", splits=2).aggregates()
    assert (several.boot_low, several.boot_over) == (None, "")
    frame = pd.read_csv(tmp_path / "r-splits.csv")
    assert frame[["boot_low", "boot_high"]].notna().all(axis=None)
    grouped = run(image_folder, tmp_path, layers="pool5", splits=1, group_by=r"(\d)\.png")
    assert grouped.results[0].boot_over.endswith(" groups")
