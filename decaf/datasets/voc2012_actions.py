"""Pascal VOC 2012 actions: persons in boxes, ten actions, several to a person.

It shares the images of `voc2012`; a row is a person, so that an image may have several.
"""

from pathlib import Path

import numpy as np

from decaf.datasets import voc2012
from decaf.datasets.image_tables import image_table, official_sides, only_present
from decaf.datasets.info import DatasetInfo
from decaf.datasets.objects import read_annotation
from decaf.datasets.voc import read_labels
from decaf.errors import DataError
from decaf.types import ImageDataset, Side

ACTIONS = (
    "jumping", "phoning", "playinginstrument", "reading", "ridingbike", "ridinghorse", "running",
    "takingphoto", "usingcomputer", "walking",
)  # fmt: skip
_SIDES: tuple[Side, ...] = ("train", "val")

INFO = DatasetInfo(
    name="voc2012-actions",
    tree=voc2012.INFO.tree,
    n_images=6278,
    n_classes=10,
    licence=voc2012.INFO.licence,
    home=voc2012.INFO.home,
    archives=voc2012.INFO.archives,
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read the persons of VOC 2012's action task.

    Returns
    -------
    ImageDataset
        A row a person, with its box; the labels of the test side are not published.
    """
    tree = INFO.require(data_root)
    lists = tree / "ImageSets" / "Action"
    read = [read_labels(lists, ACTIONS, side, n_keys=2) for side in _SIDES]
    side_of = [side for side, (keys, _) in zip(_SIDES, read, strict=True) for _ in keys]
    persons = [key for keys, _ in read for key in keys]
    annotations = {
        image: [box for _, _, box in read_annotation(tree / "Annotations" / f"{image}.xml")]
        for image, _ in persons
    }
    table = image_table(
        INFO.name,
        tree,
        [f"JPEGImages/{image}.jpg" for image, _ in persons],
        np.concatenate([labels for _, labels in read]),
        ACTIONS,
        official=official_sides(INFO.name, side_of),
        boxes=np.array([_person(annotations[image], image, person) for image, person in persons]),
    )
    return only_present(INFO, table, allow_partial=allow_partial)


def _person(
    boxes: list[tuple[float, float, float, float]], image: str, person: str
) -> tuple[float, float, float, float]:
    if not person.isdecimal() or len(person) > 9 or not 1 <= int(person) <= len(boxes):
        raise DataError(
            f"the action lists name object {person[:40]} of {image[:80]}, which has {len(boxes)}; "
            "unpack the archive anew"
        )
    return boxes[int(person) - 1]
