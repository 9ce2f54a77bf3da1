"""CUB-200-2011, birds: 11 788 images of 200 species, with a box and 15 parts each.

References
----------
Wah et al., The Caltech-UCSD Birds-200-2011 dataset, 2011.
"""

from pathlib import Path

import numpy as np

from decaf.datasets.image_tables import image_table, official_sides, only_present
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.lists import read_columns
from decaf.errors import DataError
from decaf.types import FloatArray, ImageDataset

N_PARTS = 15
_NAMES = (
    "back", "beak", "belly", "breast", "crown", "forehead", "left-eye", "left-leg", "left-wing",
    "nape", "right-eye", "right-leg", "right-wing", "tail", "throat",
)  # fmt: skip
PARTS = {
    "head": ("beak", "crown", "forehead", "left-eye", "nape", "right-eye", "throat"),
    "body": (
        "back", "belly", "breast", "left-leg", "left-wing", "right-leg", "right-wing", "tail",
        "throat",
    ),
}  # fmt: skip
"""The points that are in the box of a head, and of a body."""
LEAST_POINTS = 3
"""A part with fewer visible points has no box."""

_RECORD = "https://data.caltech.edu/records/65de6-vp158"

INFO = DatasetInfo(
    name="birds",
    tree="birds/CUB_200_2011/images",
    n_images=11_788,
    n_classes=200,
    n_sides=(5994, 0, 5794),
    licence="non-commercial research",
    home=_RECORD,
    archives=(
        Archive(
            file="CUB_200_2011.tgz",
            urls=(f"{_RECORD}/files/CUB_200_2011.tgz",),
            size_bytes=1_150_585_339,
            checksum="sha256:0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
        ),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read CUB-200-2011.

    Returns
    -------
    ImageDataset
        With the official split (5 994 to train, 5 794 to test) and the birds' boxes.
    """
    tree = INFO.require(data_root)
    lists = tree.parent
    ids = dict(read_columns(lists / "images.txt", 2))
    names = dict(read_columns(lists / "classes.txt", 2))
    rows = list(ids)
    classes = _by_image(lists / "image_class_labels.txt", 1, rows)[:, 0].astype(np.int64)
    is_train = _by_image(lists / "train_test_split.txt", 1, rows)[:, 0]
    # x, y, width, height with a first pixel of 1, as the authors' Matlab counts
    x, y, width, height = _by_image(lists / "bounding_boxes.txt", 4, rows).T
    table = image_table(
        INFO.name,
        tree,
        list(ids.values()),
        classes - 1,
        list(names.values()),
        official=official_sides(INFO.name, ["train" if side else "test" for side in is_train]),
        boxes=np.stack([x - 1, y - 1, x - 1 + width, y - 1 + height], axis=1),
    )
    return only_present(INFO, table, allow_partial=allow_partial)


def load_parts(data_root: Path) -> FloatArray:
    """Read where the parts of the birds are.

    Returns
    -------
    numpy.ndarray
        ``(11788, 15, 3)`` float64: x and y in pixels, 0-based, and 1 if visible, else 0; in the
        order of the whole table and of ``parts/parts.txt``.

    Raises
    ------
    DataError
        The lists are missing, or incomplete.
    """
    lists = INFO.require(data_root).parent
    file = lists / "parts" / "part_locs.txt"
    try:
        found = np.array(read_columns(file, 5), dtype=np.float64)
    except ValueError as error:
        raise DataError(f"{file} holds what is no number ({error}); unpack it anew") from error
    n_images = len(read_columns(lists / "images.txt", 2))
    if found.shape != (n_images * N_PARTS, 5):
        raise DataError(
            f"{file} has {len(found)} lines for {n_images} images of {N_PARTS} parts; "
            "unpack the archive anew"
        )
    parts: FloatArray = found[:, 2:].reshape(n_images, N_PARTS, 3) - np.array([1, 1, 0])
    return parts


def part_boxes(points: FloatArray) -> dict[str, FloatArray]:
    """Return the tight boxes of heads and bodies about their visible points.

    Parameters
    ----------
    points : numpy.ndarray
        ``(n_images, 15, 3)``, what `load_parts` returned.

    Returns
    -------
    dict of str to numpy.ndarray
        ``head`` and ``body``: ``(n_images, 4)`` float32 half-open boxes, NaN where fewer than 3
        points are visible.

    References
    ----------
    Zhang et al., "Part-based R-CNNs for fine-grained category detection", ECCV 2014, whose boxes of
    the official points these are.
    """
    found = {}
    for part, names in PARTS.items():
        own = points[:, [_NAMES.index(name) for name in names]]
        seen = own[..., 2:] > 0
        low = np.where(seen, own[..., :2], np.inf).min(1)
        high = np.where(seen, own[..., :2], -np.inf).max(1) + 1
        boxes = np.concatenate([low, high], 1).astype(np.float32)
        boxes[seen.sum((1, 2)) < LEAST_POINTS] = np.nan
        found[part] = boxes
    return found


def _by_image(file: Path, n_values: int, images: list[str]) -> FloatArray:
    values = {key: rest.split() for key, rest in read_columns(file, 2)}
    try:
        rows = np.array([values[image] for image in images], dtype=np.float64)
        rows = rows.reshape(len(images), n_values)
    except (KeyError, ValueError) as error:
        raise DataError(f"{file} lacks or garbles an image ({error}); unpack it anew") from error
    if not np.isfinite(rows).all():
        raise DataError(f"{file} holds a number that is not finite; unpack it anew")
    return rows
