"""Cluttered scenes: small images of objects on images of something else, boxes known.

    python tests/scenes.py ASSETS OUT [--n-train 300] [--n-test 150]

writes a tree in VOC 2007's layout, with annotations.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from decaf.datasets.voc import CLASSES

# Twenty categories of Caltech-101 that stand for VOC's twenty classes.
CATEGORIES = (
    "airplanes", "Motorbikes", "Faces", "Leopards", "accordion", "barrel", "bonsai", "brain",
    "butterfly", "car_side", "chandelier", "dollar_bill", "electric_guitar", "grand_piano",
    "ketch", "laptop", "soccer_ball", "sunflower", "watch", "yin_yang",
)  # fmt: skip
N_KNOWN = 30
"""Images of a category that scenes to train on are made of; those to test on have the others."""
SIDE_PX = 320
OBJECT_PX = (80, 120)
"""Least and largest longer side of an object."""


@dataclass(frozen=True)
class Scene:
    """An image and its objects: class numbers and boxes."""

    image: Image.Image
    classes: list[int]
    boxes: list[tuple[int, int, int, int]]


def scenes(
    images: Path, n_scenes: int, rng: np.random.Generator, *, known: bool
) -> Iterator[Scene]:
    """Yield scenes of one to four objects of different categories, small and off-centre."""
    own = slice(None, N_KNOWN) if known else slice(N_KNOWN, None)
    files = [sorted((images / name).glob("*.jpg"))[own] for name in CATEGORIES]
    others = sorted((images / "BACKGROUND_Google").glob("*.jpg"))[own]
    for _ in range(n_scenes):
        with Image.open(others[rng.integers(len(others))]) as file:
            scene = Scene(file.convert("RGB").resize((SIDE_PX, SIDE_PX)), [], [])
        for category in rng.choice(len(CATEGORIES), rng.integers(1, 5), replace=False):
            with Image.open(files[category][rng.integers(len(files[category]))]) as file:
                thing = file.convert("RGB")
            scale = rng.integers(*OBJECT_PX) / max(thing.size)
            thing = thing.resize([round(scale * side) for side in thing.size])
            box = _free_place(scene, thing.size, rng)
            if box is not None:
                scene.image.paste(thing, box[:2])
                scene.classes.append(int(category))
                scene.boxes.append(box)
        yield scene


def _free_place(
    scene: Scene, size: tuple[int, int], rng: np.random.Generator
) -> tuple[int, int, int, int] | None:
    for _ in range(50):
        x, y = (int(rng.integers(0, SIDE_PX - side + 1)) for side in size)
        box = (x, y, x + size[0], y + size[1])
        off_centre = not (x < SIDE_PX / 2 < box[2] and y < SIDE_PX / 2 < box[3])
        apart = all(
            box[2] <= b[0] or b[2] <= box[0] or box[3] <= b[1] or b[3] <= box[1]
            for b in scene.boxes
        )
        if off_centre and apart:
            return box
    return None


def write_voc(root: Path, sides: dict[str, list[Scene]]) -> None:
    """Write images, labels and annotations as VOC 2007 does."""
    home = root / "voc2007" / "VOCdevkit" / "VOC2007"
    lists = home / "ImageSets" / "Main"
    for folder in (lists, home / "JPEGImages", home / "Annotations"):
        folder.mkdir(parents=True)
    number = 0
    for side, rows in sides.items():
        lines: list[list[str]] = [[] for _ in CLASSES]
        for scene in rows:
            number += 1
            scene.image.save(home / "JPEGImages" / f"{number:06d}.jpg", quality=90)
            items = zip(scene.classes, scene.boxes, strict=True)
            (home / "Annotations" / f"{number:06d}.xml").write_text(
                "<annotation>" + "".join(_item(*item) for item in items) + "</annotation>"
            )
            for category, names in enumerate(lines):
                names.append(f"{number:06d} {1 if category in scene.classes else -1:2d}")
        for name, names in zip(CLASSES, lines, strict=True):
            (lists / f"{name}_{side}.txt").write_text("\n".join(names) + "\n")


def _item(category: int, box: tuple[int, int, int, int]) -> str:
    x0, y0, x1, y1 = box
    return (
        f"<object><name>{CLASSES[category]}</name><difficult>0</difficult><bndbox>"
        f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>"
    )


def write_scenes(assets: Path, root: Path, n_train: int, n_test: int) -> None:
    """Write scenes of known images to train on and of others to test on."""
    images = assets / "data" / "caltech101" / "101_ObjectCategories"
    rng = np.random.default_rng(0)
    known = list(scenes(images, n_train, rng, known=True))
    unknown = list(scenes(images, n_test, rng, known=False))
    fifth = n_train // 5
    write_voc(root, {"train": known[fifth:], "val": known[:fifth], "test": unknown})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--n-train", type=int, default=300)
    parser.add_argument("--n-test", type=int, default=150)
    arguments = parser.parse_args()
    write_scenes(arguments.assets, arguments.out, arguments.n_train, arguments.n_test)
