"""Images with the boxes of their objects: VOC's layout, a named data set, or a CSV file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from decaf.datasets import ADAPTERS, image_table
from decaf.datasets.image_tables import official_sides
from decaf.datasets.listing import image_names
from decaf.datasets.objects import Objects, load_objects, read_annotation
from decaf.datasets.order import natural_sorted
from decaf.datasets.passed_over import say_once, some_names
from decaf.datasets.patch_tables import row_size
from decaf.detection.box_files import read_box_lines
from decaf.errors import ConfigError, DataError
from decaf.extraction import source_table
from decaf.names import Names
from decaf.records import Source
from decaf.regions.boxes import clipped, sides
from decaf.types import BACKGROUND, SIDES, ImageDataset, IntArray, Side

_FOLDERS = ("JPEGImages", "images", ".")


@dataclass(frozen=True, eq=False)
class BoxedImages:
    """Images and their objects.

    Attributes
    ----------
    table : ImageDataset
        The images; of their labels nothing is used.
    objects : tuple of Objects
        Those of each image; a label is a number in `class_names`.
    class_names : tuple of str
        Names of the classes.
    """

    table: ImageDataset
    objects: tuple[Objects, ...]
    class_names: tuple[str, ...]

    def take(self, rows: IntArray) -> "BoxedImages":
        """Return some of the images."""
        table = replace(
            self.table,
            image_ids=Names(self.table.image_ids).take(rows),
            labels=self.table.labels[rows],
            sizes_bytes=self.table.sizes_bytes[rows],
            official=None if self.table.official is None else self.table.official[rows],
            boxes=None,
            groups=None,
        )
        return replace(self, table=table, objects=tuple(self.objects[row] for row in rows))

    def side(self, *sides: Side) -> "BoxedImages":
        """Return the images of some sides of the official split; all where there is none."""
        if self.table.official is None:
            return self
        codes = [1 + SIDES.index(side) for side in sides]
        return self.take(np.flatnonzero(np.isin(self.table.official[:, 0], codes)))

    def of_classes(self, class_names: Sequence[str]) -> "BoxedImages":
        """Return the images with objects of these classes alone, numbered in this order."""
        number = {name: place for place, name in enumerate(class_names)}
        new = np.array([number.get(name, -1) for name in self.class_names], np.int64)
        kept = [new[one.labels] >= 0 for one in self.objects]
        objects = tuple(
            Objects(one.boxes[k], new[one.labels[k]], one.difficult[k])
            for one, k in zip(self.objects, kept, strict=True)
        )
        return replace(self, objects=objects, class_names=tuple(class_names))


def load_boxed(dataset: str | Path | BoxedImages, source: Source = Source()) -> BoxedImages:
    """Read images and the boxes of their objects.

    Parameters
    ----------
    dataset : str, pathlib.Path or BoxedImages
        Name of a data set with boxes (``voc2007``); a folder with VOC's ``Annotations/*.xml``,
        whose images are in ``JPEGImages``, ``images`` or itself, and whose split, if any, is in
        ``ImageSets/Main/{train,val,test}.txt``; or a CSV file of
        ``path,label,x1,y1,x2,y2[,difficult][,split]``.
    source : Source
        Which images.

    Returns
    -------
    BoxedImages
        The images. Boxes that reach beyond theirs are cut, and said. Those that lie outside it are
        said and stay: a test counts them as missed.

    Raises
    ------
    ConfigError
        If it is none of these.
    DataError
        If an annotation is malformed, or no image is there.
    """
    if isinstance(dataset, BoxedImages):
        return dataset
    path = Path(dataset)
    if str(dataset) in ADAPTERS:
        found = _of_adapter(str(dataset), source)
    elif (path / "Annotations").is_dir():
        found = _of_folder(path)
    elif path.suffix.lower() == ".csv":
        found = _of_csv(path)
    else:
        raise ConfigError(
            f"asked for the objects of {str(dataset)!r}, found no boxes; give voc2007, a folder "
            "with VOC's Annotations, or a CSV of path,label,x1,y1,x2,y2"
        )
    if source.limit is not None and source.limit < len(found.objects):
        found = found.take(np.arange(source.limit) * len(found.objects) // source.limit)
    return _cut_to_images(found)


def _cut_to_images(found: BoxedImages) -> BoxedImages:
    cut, beyond, outside = [], [], []
    for row, (name, one) in enumerate(zip(found.table.image_ids, found.objects, strict=True)):
        try:
            boxes = clipped(one.boxes, *row_size(found.table, row))
        except (DataError, OSError):  # a failure when it is read
            boxes = one.boxes
        inside = sides(boxes).min(1) > 0
        outside += [name] * int((~inside).sum())
        beyond += [name] * int((boxes[inside] != one.boxes[inside]).any(1).sum())
        cut.append(replace(one, boxes=np.where(inside[:, None], boxes, one.boxes)))
    for names, said in ((beyond, "cut to their image"), (outside, "outside their image")):
        if names:
            say_once(f"{found.table.name}: {len(names)} boxes are {said} ({some_names(names)})")
    return replace(found, objects=tuple(cut))


def _of_adapter(name: str, source: Source) -> BoxedImages:
    table = source_table(name, replace(source, limit=None))
    objects = load_objects(table)
    if objects is None:
        raise ConfigError(f"asked for the objects of {name}, which has no boxes; give voc2007")
    return BoxedImages(table, tuple(objects), table.class_names)


def _of_folder(root: Path) -> BoxedImages:
    names = natural_sorted(file.stem for file in (root / "Annotations").glob("*.xml"))
    if not names:
        raise DataError(f"{root / 'Annotations'} holds no .xml; put VOC's annotations there")
    images: dict[str, str] = {}
    for folder in reversed([one for one in _FOLDERS if (root / one).is_dir()]):
        found = image_names(root / folder)
        images |= {PurePosixPath(n).stem: (PurePosixPath(folder) / n).as_posix() for n in found}
    if more := sorted(images.keys() - set(names)):
        say_once(f"{root}: {len(more)} images without an annotation are left out ({more[0]}, ...)")
    read = [read_annotation(root / "Annotations" / f"{name}.xml") for name in names]
    # one that is not there stays, and is a failure when it is read
    ids = [images.get(name, f"JPEGImages/{name}.jpg") for name in names]
    return _made(root.name, root, ids, read, _sides_of_folder(root, names))


def _sides_of_folder(root: Path, names: Sequence[str]) -> list[str]:
    side_of: dict[str, str] = {}
    for side in SIDES:
        file = root / "ImageSets" / "Main" / f"{side}.txt"
        if file.is_file():
            side_of |= dict.fromkeys(file.read_text(encoding="utf-8").split(), side)
    if side_of and (missing := [name for name in names if name not in side_of]):
        raise DataError(
            f"{root / 'ImageSets' / 'Main'} does not say the side of {missing[0]}; add it to "
            "train.txt, val.txt or test.txt"
        )
    return [side_of[name] for name in names] if side_of else []


def _of_csv(file: Path) -> BoxedImages:
    lines = read_box_lines(file, labelled=True)
    objects: dict[str, list[Any]] = {}
    sides: dict[str, str] = {}
    for line in lines:
        if sides.setdefault(line.path, line.side) != line.side:
            raise DataError(f"{line.where}: {line.path} is on two sides of the split; give one")
        items = objects.setdefault(line.path, [])
        if line.box is not None:
            items.append((line.label, line.difficult, line.box))
    if not objects:
        raise DataError(f"{file} lists no images; write a box a line under the header")
    official = list(sides.values()) if any(sides.values()) else []
    read = list(objects.values())
    return _made(file.stem, file.parent, list(objects), read, official)


def _made(
    name: str,
    root: Path,
    ids: Sequence[str],
    read: Sequence[Sequence[tuple[str, bool, tuple[float, ...]]]],
    sides: Sequence[str],
) -> BoxedImages:
    classes = natural_sorted({label for items in read for label, _, _ in items})
    if not classes:
        raise DataError(f"{name} has images, and no object in any; annotate some")
    numbers: Mapping[str, int] = {label: number for number, label in enumerate(classes)}
    objects = tuple(
        Objects(
            np.array([box for _, _, box in items], np.float32).reshape(-1, 4),
            np.array([numbers[label] for label, _, _ in items], np.int64),
            np.array([difficult for _, difficult, _ in items], np.bool_),
        )
        for items in read
    )
    official = official_sides(name, sides) if sides else None
    labels = np.zeros(len(ids), np.int64)
    table = image_table(name, root, ids, labels, (*classes, BACKGROUND), official=official)
    return BoxedImages(table, objects, tuple(classes))
