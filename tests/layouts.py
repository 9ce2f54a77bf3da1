"""Every published data set in its official layout, and very small."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from decaf.datasets import caltech101, caltech256, office31
from decaf.datasets.voc import CLASSES
from decaf.datasets.voc2012_actions import ACTIONS


def write_layouts(root: Path) -> None:
    paint = Painter()
    write_caltech(root, paint)
    write_sun397(root, paint)
    write_birds(root, paint)
    write_mit67(root, paint)
    write_voc(root / "voc2007" / "VOCdevkit" / "VOC2007", paint, VOC_SIDES)
    write_voc2012(root, paint)
    write_office(root, paint)
    write_searched(root, paint)


class Painter:
    """Writes a small image, each another, wherever one is needed."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)

    def __call__(self, folder: Path, names: Iterable[str]) -> None:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            tones = self.rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)
            Image.fromarray(tones).resize((40, 48), Image.Resampling.NEAREST).save(path)


def write(file: Path, lines: Iterable[str]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines))


def write_caltech(root: Path, paint: Painter) -> None:
    for name in caltech101.COUNTS:
        paint(root / caltech101.INFO.tree / name, [f"image_000{n}.jpg" for n in range(1, 6)])
    for name in ("001.ak47", "002.american-flag", "257.clutter"):
        names = [f"{name[:3]}_000{n}.jpg" for n in range(1, 6)]
        paint(root / caltech256.INFO.tree / name, names)


def write_sun397(root: Path, paint: Painter) -> None:
    home = root / "sun397"
    classes = ("/a/abbey", "/b/bakery/shop", "/z/zoo")
    ids = [f"{name}/sun_{n}.jpg" for name in classes for n in range(4)]
    paint(home / "SUN397", [image_id.strip("/") for image_id in ids])
    write(home / "Partitions" / "ClassName.txt", classes)
    for partition in range(1, 11):
        first = partition % 2
        train = [image_id for n, image_id in enumerate(ids) if n % 4 in (first, first + 1)]
        test = [image_id for image_id in ids if image_id not in train]
        write(home / "Partitions" / f"Training_{partition:02d}.txt", train)
        write(home / "Partitions" / f"Testing_{partition:02d}.txt", test)


def write_birds(root: Path, paint: Painter) -> None:
    home = root / "birds" / "CUB_200_2011"
    ids = [f"00{species}.Bird/{n}.jpg" for species in (1, 2) for n in range(5)]
    numbers = range(1, len(ids) + 1)
    paint(home / "images", ids)
    write(home / "images.txt", [f"{n} {ids[n - 1]}" for n in numbers])
    write(home / "image_class_labels.txt", [f"{n} {1 + (n > 5)}" for n in numbers])
    write(home / "train_test_split.txt", [f"{n} {int(n % 5 > 1)}" for n in numbers])
    write(home / "bounding_boxes.txt", [f"{n} 5.0 6.0 20.0 30.0" for n in numbers])
    write(home / "classes.txt", ["1 001.Bird", "2 002.Bird"])
    points = [
        f"{n} {part} {5 + 2 * part}.0 {6 + part}.0 {int(n != 3 or part > 13)}"
        for n in numbers
        for part in range(1, 16)
    ]
    write(home / "parts" / "part_locs.txt", points)


def write_office(root: Path, paint: Painter) -> None:
    for domain in office31.COUNTS:
        for name in ("back_pack", "mug", "trash_can"):
            names = [f"frame_000{n}.jpg" for n in range(1, 6)]
            paint(root / "office31" / domain / "images" / name, names)


def write_mit67(root: Path, paint: Painter) -> None:
    ids = [f"{name}/{n}.jpg" for name in ("bar", "library", "winecellar") for n in range(4)]
    paint(root / "mit67" / "Images", ids)
    write(root / "mit67" / "TrainImages.txt", [i for i in ids if i[-5] in "012"])
    write(root / "mit67" / "TestImages.txt", [i for i in ids if i[-5] == "3"])


VOC_SIDES = {"train": range(24), "val": range(24, 40), "test": range(40, 52)}


def write_searched(root: Path, paint: Painter) -> None:
    paint(root / "ukbench" / "full", [f"ukbench{n:05d}.jpg" for n in range(10)])
    paint(root / "holidays" / "jpg", [f"10{g:02d}{n:02d}.jpg" for g in range(3) for n in range(3)])
    for home, prefix in ((root / "oxford5k" / "images", "oxc1_"), (root / "paris6k" / "paris", "")):
        below = "" if prefix else "all_souls/"
        paint(home, [f"{below}all_souls_{n}.jpg" for n in range(8)])
        for query, good, ok, junk in (("all_souls_1", 1, 2, 3), ("all_souls_2", 1, 2, 3),
                                      ("bodleian_1", 4, 5, 6)):  # fmt: skip
            lines = {"query": f"{prefix}all_souls_{good} 4.5 5 30 40", "good": f"all_souls_{good}",
                     "ok": f"all_souls_{ok}", "junk": f"all_souls_{junk}"}  # fmt: skip
            for kind, line in lines.items():
                write(home.parent / "gt" / f"{query}_{kind}.txt", [line])


def write_voc(home: Path, paint: Painter, sides: dict[str, range]) -> None:
    for side, numbers in sides.items():
        paint(home / "JPEGImages", [f"{n:06d}.jpg" for n in numbers])
        for column, name in enumerate(CLASSES):
            lines = [f"{n:06d} {label(n, column):2d}" for n in numbers]
            write(home / "ImageSets" / "Main" / f"{name}_{side}.txt", lines)


def write_voc2012(root: Path, paint: Painter) -> None:
    """A bird in each image that is labelled so, and a person in all, with an action."""
    home = root / "voc2012" / "VOCdevkit" / "VOC2012"
    sides = {"train": range(24), "val": range(24, 40)}
    write_voc(home, paint, sides)
    for n in range(40):
        boxes = {"person": (1, 1, 20, 20)} | ({"bird": (21, 11, 40, 30)} if label(n, 2) > 0 else {})
        items = [
            f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{box[0]}</xmin>"
            f"<ymin>{box[1]}</ymin><xmax>{box[2]}</xmax><ymax>{box[3]}</ymax></bndbox></object>"
            for name, box in boxes.items()
        ]
        write(home / "Annotations" / f"{n:06d}.xml", ["<annotation>", *items, "</annotation>"])
    for side, numbers in sides.items():
        for column, name in enumerate(ACTIONS):
            lines = [f"{n:06d} 1 {label(n, column):2d}" for n in numbers]
            write(home / "ImageSets" / "Action" / f"{name}_{side}.txt", lines)


def label(number: int, column: int) -> int:
    """Four positives of each class in twenty images, and one ignored."""
    place = (number + 3 * column) % 20
    return 1 if place in (0, 5, 11, 18) else 0 if place == 7 else -1
