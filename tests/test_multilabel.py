"""Images with several labels, from a tree in VOC's layout to both average precisions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat import evaluate
from PIL import Image

from decaf.datasets.voc import CLASSES
from decaf.errors import ConfigError
from decaf.results import Aggregate, Result

# Twenty categories of Caltech-101 that stand for VOC's twenty classes.
CATEGORIES = (
    "airplanes", "Motorbikes", "Faces", "Leopards", "accordion", "barrel", "bonsai", "brain",
    "butterfly", "car_side", "chandelier", "dollar_bill", "electric_guitar", "grand_piano",
    "ketch", "laptop", "soccer_ball", "sunflower", "watch", "yin_yang",
)  # fmt: skip
N_TRAINING_IMAGES = 30  # of a category; collages to test are made of the others
SIDE_PX = 224
DIFFICULT = 0.08  # share of the objects

Rows = list[tuple[Image.Image, np.ndarray]]


def write_voc(root: Path, sides: dict[str, Rows]) -> None:
    """Write images and labels as VOC 2007 does."""
    home = root / "voc2007" / "VOCdevkit" / "VOC2007"
    lists = home / "ImageSets" / "Main"
    for folder in (lists, home / "JPEGImages"):
        folder.mkdir(parents=True)
    number = 0
    for side, rows in sides.items():
        lines: list[list[str]] = [[] for _ in CLASSES]
        for image, labels in rows:
            number += 1
            image.save(home / "JPEGImages" / f"{number:06d}.jpg", quality=90)
            for name_lines, label in zip(lines, labels, strict=True):
                name_lines.append(f"{number:06d} {label:2d}")
        for name, name_lines in zip(CLASSES, lines, strict=True):
            (lists / f"{name}_{side}.txt").write_text("\n".join(name_lines) + "\n")


def collages(
    images: list[list[Image.Image]], n_collages: int, rng: np.random.Generator
) -> Iterator[tuple[Image.Image, np.ndarray]]:
    """Yield collages of one to four images of different categories, and their labels."""
    half = SIDE_PX // 2
    places = {
        1: [(0, 0, SIDE_PX, SIDE_PX)],
        2: [(0, 0, half, SIDE_PX), (half, 0, half, SIDE_PX)],
        4: [(x, y, half, half) for x in (0, half) for y in (0, half)],
    }
    for _ in range(n_collages):
        n_objects = int(rng.integers(1, 5))
        labels = np.full(len(CLASSES), -1, np.int8)
        collage = Image.new("RGB", (SIDE_PX, SIDE_PX), (128, 128, 128))
        chosen = rng.choice(len(CATEGORIES), n_objects, replace=False)
        free = rng.permutation(places[n_objects if n_objects < 3 else 4])
        for category, (x, y, width, height) in zip(chosen, free.tolist(), strict=False):
            choices = images[category]
            image = choices[rng.integers(len(choices))]
            collage.paste(image.resize((width, height)), (x, y))
            labels[category] = 0 if rng.random() < DIFFICULT else 1
        yield collage, labels


def read(folder: Path) -> list[Image.Image]:
    opened = [Image.open(path) for path in sorted(folder.glob("*.jpg"))]
    return [image.convert("RGB").resize((SIDE_PX, SIDE_PX)) for image in opened]


@pytest.mark.data
@pytest.mark.slow
def test_pretrained_features_beat_random_ones_on_collages(assets: Path, tmp_path: Path) -> None:
    categories = assets / "data" / "caltech101" / "101_ObjectCategories"
    images = [read(categories / name) for name in CATEGORIES]
    known = [some[:N_TRAINING_IMAGES] for some in images]
    unknown = [some[N_TRAINING_IMAGES:] for some in images]
    assert min(map(len, unknown)) >= 10
    rng = np.random.default_rng(0)
    sides = {
        "train": list(collages(known, 700, rng)),
        "val": list(collages(known, 300, rng)),
        "test": list(collages(unknown, 500, rng)),
    }
    assert sum(int((labels == 0).sum()) for rows in sides.values() for _, labels in rows) > 100
    write_voc(tmp_path / "data", sides)

    def score(weights: str) -> Aggregate:
        (row,) = evaluate(
            "voc2007",
            protocol="chatfield",
            backbone="squeezenet1_0",
            weights=weights,
            layers="features.12",
            pool="grid:2",
            view="squash",
            device="cpu",
            precision="auto",
            allow_partial=True,
            data_root=tmp_path / "data",
            features=tmp_path / "features",
            out=tmp_path / f"{Path(weights).stem}.csv",
            quiet=True,
        ).aggregates()
        assert (row.n_train, row.n_test) == (1000, 500)
        assert row.converged
        return row

    weights = assets / "weights" / "squeezenet1_0-deepcompression.safetensors"
    pretrained, random = score(str(weights)), score("random")
    assert (pretrained.metric, pretrained.other_metric) == ("map_11pt", "map_area")
    assert pretrained.mean >= random.mean + 0.25
    assert pretrained.other_mean >= random.other_mean + 0.25
    classes = pd.read_csv(tmp_path / f"{weights.stem}-classes.csv")
    for metric, mean in (("map_11pt", pretrained.mean), ("map_area", pretrained.other_mean)):
        of_metric = classes[classes["metric"] == metric]
        assert of_metric["class"].tolist() == list(CLASSES)
        np.testing.assert_allclose(of_metric["value"].mean(), mean)


def coloured(labels: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """An image whose twenty stripes tell the labels, but for some that nobody could learn."""
    pixels = rng.integers(0, 60, (80, 80, 3), dtype=np.uint8)
    for number, label in enumerate(labels):
        if label > 0:
            pixels[4 * number : 4 * number + 4, :, number % 3] += 180
    return Image.fromarray(pixels)


@pytest.fixture
def sides() -> dict[str, Rows]:
    """Images of random labels, in VOC's sides."""
    rng = np.random.default_rng(0)
    counts = {"train": 40, "val": 20, "test": 30}
    drawn = {
        side: np.where(rng.random((n_rows, 20)) < 0.3, 1, -1).astype(np.int8)
        for side, n_rows in counts.items()
    }
    return {side: [(coloured(row, rng), row) for row in rows] for side, rows in drawn.items()}


def score_small(root: Path, sides: dict[str, Rows], protocol: str) -> tuple[Result, pd.Series]:
    """Return the result, and the values of the single classes."""
    if not root.exists():
        write_voc(root, sides)
    (result,) = evaluate(
        "voc2007",
        protocol=protocol,
        splits=1,
        backbone="decaf-mini",
        weights="random",
        layers="features.pool2",
        pool="grid:4",
        device="cpu",
        allow_partial=True,
        data_root=root,
        features=root / "features",
        out=root / "r.csv",
        quiet=True,
    )
    return result, pd.read_csv(root / "r-classes.csv").set_index(["metric", "class"])["value"]


def test_difficult_labels_neither_train_nor_test(sides: dict[str, Rows], tmp_path: Path) -> None:
    changed = [labels for side in ("train", "test") for _, labels in sides[side][:10]]
    for labels in changed:
        labels[0] *= -1  # all wrong for the first class in these rows
    wrong, wrong_classes = score_small(tmp_path / "wrong", sides, "razavian")
    for labels in changed:
        labels[0] = 0
    difficult, classes = score_small(tmp_path / "difficult", sides, "razavian")
    assert classes["map_11pt", "aeroplane"] > wrong_classes["map_11pt", "aeroplane"] + 0.05
    for name in CLASSES[1:]:  # other classes see no difference
        np.testing.assert_allclose(
            classes["map_area", name], wrong_classes["map_area", name], atol=1e-6
        )
    for metric, value in (("map_11pt", difficult.value), ("map_area", difficult.other_value)):
        np.testing.assert_allclose(classes[metric].mean(), value)
    assert wrong.n_train == difficult.n_train == 60


def test_fairs_rules_and_flaws_have_names_of_their_own(
    sides: dict[str, Rows], tmp_path: Path
) -> None:
    for _, labels in sides["train"][:6]:
        labels[:] = 0
    names = ("fair-svm", "fair-svm-goyal", "fair-lowshot", "fair-lowshot-goyal")
    found = {name: score_small(tmp_path / "data", sides, name)[0] for name in names}
    assert found["fair-svm"].n_train == found["fair-svm-goyal"].n_train == 60
    assert found["fair-svm"].objective != found["fair-svm-goyal"].objective
    assert (found["fair-lowshot"].C, found["fair-lowshot"].shots) == (1.0, 1)
    assert found["fair-lowshot-goyal"].value >= found["fair-lowshot"].value
    assert any("picked on the test side" in note for note in found["fair-lowshot-goyal"].notes)


def test_a_head_that_cannot_weigh_positives_is_refused(
    sides: dict[str, Rows], tmp_path: Path
) -> None:
    write_voc(tmp_path, sides)
    with pytest.raises(ConfigError, match="weighs positives, which head knn cannot"):
        evaluate(
            "voc2007",
            protocol="fair-svm",
            heads="knn",
            backbone="decaf-mini",
            weights="random",
            layers="pool5",
            pool="avg",
            device="cpu",
            allow_partial=True,
            data_root=tmp_path,
            features=tmp_path / "features",
            out=tmp_path / "r.csv",
            quiet=True,
        )
