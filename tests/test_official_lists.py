"""The official lists, with tiny images laid out under them: counts, then the whole job."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat import evaluate
from PIL import Image

from decaf.datasets import load_dataset
from decaf.datasets.birds import load_parts
from decaf.datasets.voc import CLASSES
from decaf.types import ImageDataset

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def metadata(assets: Path) -> Path:
    return assets / "metadata"


@pytest.fixture(scope="module")
def data_root(metadata: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with VOC 2007, MIT-67 and CUB-200-2011, whose images are a few hard links."""
    root = tmp_path_factory.mktemp("data")
    voc, mit67 = root / "voc2007" / "VOCdevkit" / "VOC2007", root / "mit67"
    birds = root / "birds" / "CUB_200_2011"
    for name, home in (("voc2007", voc), ("mit67", mit67), ("cub200-2011", birds)):
        shutil.copytree(metadata / name, home)
    main = voc / "ImageSets" / "Main"
    numbers = [n for side in ("trainval", "test") for n in words(main / f"{side}.txt")]
    scenes = [
        name
        for side in ("Train", "Test")
        for name in (mit67 / f"{side}Images.txt").read_text().splitlines()
    ]
    species = words(birds / "images.txt")[1::2]
    link(voc / "JPEGImages", [f"{number}.jpg" for number in numbers])
    link(mit67 / "Images", scenes)
    link(birds / "images", species, side_px=500)  # no published box reaches further
    return root


def words(file: Path) -> list[str]:
    return file.read_text().split()


def link(folder: Path, names: Iterable[str], side_px: int = 8) -> None:
    """Put one of seven images of 8 x 8 tones under each name."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    files = [folder.parent / f"{number}.png" for number in range(7)]
    for file in files:
        tones = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        tones.resize((side_px, side_px), Image.Resampling.NEAREST).save(file)
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).hardlink_to(files[number % len(files)])


def sides(table: ImageDataset) -> list[int]:
    assert table.official is not None
    return [int((table.official == code).sum()) for code in (1, 2, 3)]


def run(dataset: str, data_root: Path, tmp_path: Path, **options: object) -> pd.DataFrame:
    return evaluate(
        dataset,
        backbone="decaf-mini",
        weights="random",
        layers="features.pool5",
        pool="avg",
        device="cpu",
        data_root=data_root,
        features=tmp_path / "features",
        out=tmp_path / "r.csv",
        quiet=True,
        **options,
    ).to_frame()


def test_voc2007(metadata: Path, data_root: Path, tmp_path: Path) -> None:
    table = load_dataset("voc2007", data_root)
    assert not table.partial
    assert sides(table) == [2501, 2510, 4952]
    assert table.official is not None
    lists = metadata / "voc2007" / "ImageSets" / "Main"
    for name, here in (("trainval", table.official[:, 0] < 3), ("test", table.official[:, 0] == 3)):
        for column, one in enumerate(CLASSES):
            published = words(lists / f"{one}_{name}.txt")[1::2]
            for label in (1, 0, -1):
                found = int((table.labels[here, column] == label).sum())
                assert found == published.count(str(label)), (one, name, label)
    frame = run("voc2007", data_root, tmp_path, protocol="razavian", limit=1000)
    assert frame["metric"].item() == "map_11pt"
    assert frame["n_train"].item() + frame["n_test"].item() == 1000
    classes = pd.read_csv(tmp_path / "r-classes.csv")
    assert set(classes["metric"]) == {"map_11pt", "map_area"}


def test_mit67(data_root: Path, tmp_path: Path) -> None:
    table = load_dataset("mit67", data_root)
    assert not table.partial
    assert (sides(table), len(table.class_names)) == ([5360, 0, 1340], 67)
    frame = run("mit67", data_root, tmp_path)
    assert (frame["n_train"].item(), frame["n_test"].item()) == (5360, 1340)
    assert frame["n_classes"].item() == 67
    assert not frame["partial"].item()


def test_birds(data_root: Path, tmp_path: Path) -> None:
    table = load_dataset("birds", data_root)
    assert not table.partial
    assert (sides(table), len(table.class_names)) == ([5994, 0, 5794], 200)
    assert table.boxes is not None
    assert table.boxes.shape == (11_788, 4)
    assert load_parts(data_root).shape == (11_788, 15, 3)
    frame = run("birds", data_root, tmp_path, protocol="decaf", limit=3000)  # cropped to boxes
    assert frame["n_train"].item() + frame["n_test"].item() == 3000
    assert frame["view"].item() == "warp of box x 1.5"
    assert frame["n_classes"].item() == 200
