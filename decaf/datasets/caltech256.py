"""Caltech-256: 30 607 images of 256 kinds of objects and a clutter class.

References
----------
Griffin, Holub and Perona, Caltech-256 object category dataset, 2007.
"""

import re
from pathlib import Path

from decaf.datasets.image_tables import image_table
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.listing import folders, image_names
from decaf.types import ImageDataset

_RECORD = "https://data.caltech.edu/records/nyy15-4j048"

INFO = DatasetInfo(
    name="caltech256",
    tree="caltech256/256_ObjectCategories",
    n_images=30_607,
    n_classes=257,
    licence="terms on its page",
    home=_RECORD,
    archives=(
        Archive(
            file="256_ObjectCategories.tar",
            urls=(f"{_RECORD}/files/256_ObjectCategories.tar",),
            size_bytes=1_183_006_720,
            checksum="md5:67b4f42ca05d46448c6bb8ecd2220f6d",
        ),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read Caltech-256.

    Returns
    -------
    ImageDataset
        Classes are named as their folders, from ``001.ak47`` to ``257.clutter``. Strays, of
        other names than ``NNN_MMMM.jpg``, are passed over.
    """
    tree = INFO.require(data_root)
    class_names = [name for name in folders(tree) if re.fullmatch(r"[0-9]{3}\..+", name)]
    ids = [
        f"{name}/{file}"
        for name in class_names
        for file in image_names(tree / name)
        if re.fullmatch(rf"{name[:3]}_[0-9]{{4}}\.jpg", file)
    ]
    partial = INFO.check_complete(
        len(ids), _missing(class_names, ids), tree, allow_partial=allow_partial
    )
    numbers = {name: number for number, name in enumerate(class_names)}
    labels = [numbers[image_id.split("/")[0]] for image_id in ids]
    return image_table(INFO.name, tree, ids, labels, class_names, partial=partial)


def _missing(class_names: list[str], ids: list[str]) -> list[str]:
    """Name what is missing: whole classes, then gaps in the numbers of the images."""
    if len(ids) == INFO.n_images:
        return []
    numbers = {int(name[:3]) for name in class_names}
    classes = [f"class {n:03d}" for n in range(1, INFO.n_classes + 1) if n not in numbers]
    found = {image_id[-12:] for image_id in ids}
    last: dict[str, int] = {}
    for name in found:
        last[name[:3]] = max(last.get(name[:3], 0), int(name[4:8]))
    gaps = [
        name
        for key in sorted(last)
        for n in range(1, last[key] + 1)
        if (name := f"{key}_{n:04d}.jpg") not in found
    ]
    return [*classes, *gaps, "the last images of a class"]
