"""Whole jobs on small trees in official layouts, with the faults that the real ones have."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from flat import evaluate
from PIL import Image

from decaf.datasets.voc2012_actions import ACTIONS

RED, GREEN = (220, 40, 40), (40, 220, 40)


def new_image(tone: tuple[int, int, int], rng: np.random.Generator) -> Image.Image:
    """Return noise around a tone, which the most shallow features tell from another."""
    noise = rng.integers(-30, 30, (20, 24, 3))
    return Image.fromarray((np.array(tone) + noise).clip(0, 255).astype(np.uint8)).resize((72, 60))


def write(file: Path, lines: list[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines))


def save(image: Image.Image, file: Path, fmt: str = "JPEG") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, format=fmt)


def run(dataset: str, root: Path, **options: object) -> pd.DataFrame:
    return evaluate(
        dataset,
        backbone="decaf-mini",
        weights="random",
        layers="features.relu1",
        pool="avg",
        device="cpu",
        data_root=root,
        allow_partial=True,
        features=root / "features",
        out=root / "r.csv",
        quiet=True,
        **options,
    ).to_frame()


def test_sun397_of_mixed_formats_with_two_broken_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    home = tmp_path / "sun397"
    formats = ("JPEG", "PNG", "GIF", "BMP")
    tones = {"/a/apartment_building/outdoor": RED, "/b/bakery": GREEN}
    ids = {name: [f"{name}/sun_{n:02d}.jpg" for n in range(16)] for name in tones}
    for name, tone in tones.items():
        for number, image_id in enumerate(ids[name]):
            save(new_image(tone, rng), home / "SUN397" / image_id[1:], formats[number % 4])
    broken = [home / "SUN397" / ids[name][3][1:] for name in tones]
    for file in broken:
        file.write_bytes(file.read_bytes()[:40])
    write(home / "Partitions" / "ClassName.txt", list(tones))
    for partition in range(1, 11):
        train = [i for some in ids.values() for i in np.roll(some, partition)[:8]]
        test = [i for some in ids.values() for i in some if i not in train]
        write(home / "Partitions" / f"Training_{partition:02d}.txt", train)
        write(home / "Partitions" / f"Testing_{partition:02d}.txt", test)
    frame = run("sun397", tmp_path, protocol="decaf", max_failures=0.1)
    assert frame["n_splits"].item() == 5
    assert frame["mean"].item() == 1
    assert "2 images without features are left out" in frame["notes"].item()
    (failures,) = (tmp_path / "features").glob("*.failures.csv")
    assert pd.read_csv(failures)["image_id"].tolist() == [
        file.relative_to(home / "SUN397").as_posix() for file in broken
    ]


@pytest.mark.parametrize(("drop", "n_classes"), [(None, 3), ("257.clutter", 2)])
def test_caltech256_with_and_without_clutter(
    tmp_path: Path, drop: str | None, n_classes: int
) -> None:
    rng = np.random.default_rng(0)
    home = tmp_path / "caltech256" / "256_ObjectCategories"
    tones = {"001.ak47": RED, "198.spider": GREEN, "257.clutter": (40, 40, 220)}
    for name, tone in tones.items():
        for number in range(1, 9):
            save(new_image(tone, rng), home / name / f"{name[:3]}_{number:04d}.jpg")
    write(home / "198.spider" / "RENAME2", ["a stray"])
    frame = run(
        "caltech256", tmp_path, protocol="zf", train_per_class=6, splits=2, drop_classes=drop
    )
    assert frame["n_classes"].item() == n_classes
    assert frame["n_train"].item() == 6 * n_classes
    assert frame["n_test"].item() == 2 * n_classes
    assert frame["mean"].item() == 1
    assert ("without the classes 257.clutter" in frame["notes"].item()) == (drop is not None)


def test_actions_are_told_by_the_persons_boxes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    home = tmp_path / "voc2012" / "VOCdevkit" / "VOC2012"
    doing: dict[str, list[tuple[str, int, bool]]] = {"train": [], "val": []}
    for number in range(24):
        image, side = f"2011_{number:06d}", "train" if number < 14 else "val"
        both = Image.new("RGB", (160, 60), (128, 128, 128))
        objects = []
        for place in (0, 1):  # two persons in each image, so that only their boxes tell
            reads = (number + place) % 2 == 0
            both.paste(new_image(RED if reads else GREEN, rng), (4 + 80 * place, 0))
            doing[side].append((image, place + 1, reads))
            x = 5 + 80 * place
            objects.append(
                f"<object><name>person</name><bndbox><xmin>{x}</xmin><ymin>1</ymin>"
                f"<xmax>{x + 71}</xmax><ymax>60</ymax></bndbox></object>"
            )
        save(both, home / "JPEGImages" / f"{image}.jpg")
        write(home / "Annotations" / f"{image}.xml", ["<annotation>", *objects, "</annotation>"])
    for side, rows in doing.items():
        for number, action in enumerate(ACTIONS):  # every other one is what readers do
            lines = [
                f"{image}  {person} {1 if reads is (number % 2 == 0) else -1:2d}"
                for image, person, reads in rows
            ]
            write(home / "ImageSets" / "Action" / f"{action}_{side}.txt", lines)
    frame = run("voc2012-actions", tmp_path)
    assert (frame["protocol"].item(), frame["metric"].item()) == ("voc", "map_area")
    assert (frame["n_train"].item(), frame["n_test"].item()) == (28, 20)
    assert frame["view"].item() == "warp of box x 1"
    assert frame["mean"].item() == 1
    whole = run("voc2012-actions", tmp_path, box="none")
    assert whole["mean"].item() < 0.9  # both persons of an image are the same row
