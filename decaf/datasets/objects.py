"""Where the objects of a data set's images are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from decaf.datasets.read import read_file
from decaf.errors import DataError
from decaf.types import FloatArray, ImageDataset, IntArray

_Named = tuple[str, bool, tuple[float, float, float, float]]


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image.

    Attributes
    ----------
    boxes : numpy.ndarray
        ``(n_objects, 4)`` float32 boxes ``x0, y0, x1, y1`` in pixels, 0-based, end exclusive.
    labels : numpy.ndarray
        ``(n_objects,)`` class numbers.
    difficult : numpy.ndarray
        ``(n_objects,)`` bool: left out of training and test.
    """

    boxes: FloatArray
    labels: IntArray
    difficult: npt.NDArray[np.bool_]


def load_objects(table: ImageDataset) -> list[Objects] | None:
    """Return the objects of each image, as far as the data set says where they are.

    Parameters
    ----------
    table : ImageDataset
        With a box a row, or in a tree that has VOC's ``Annotations/<image>.xml``.

    Returns
    -------
    list of Objects or None
        One for each image; None where there are no boxes.

    Raises
    ------
    DataError
        If an annotation is missing or malformed.
    """
    numbers = {name: number for number, name in enumerate(table.class_names)}
    if table.boxes is not None and table.labels.ndim == 1:
        certain = np.zeros(1, np.bool_)
        pairs = zip(table.boxes, table.labels, strict=True)
        return [Objects(box[None], label[None], certain) for box, label in pairs]
    folder = table.root / "Annotations"
    if not folder.is_dir():
        return None
    stems = (PurePosixPath(name).stem for name in table.image_ids)
    return [_annotated(folder / f"{stem}.xml", numbers) for stem in stems]


def read_annotation(file: Path) -> list[tuple[str, bool, tuple[float, float, float, float]]]:
    """Return name, difficulty and box of each object that a VOC annotation lists.

    Published boxes are the first and last pixel, counted from 1; these are 0-based, end exclusive.

    Raises
    ------
    DataError
        If it is missing or malformed, or a box leaves the image whose size it gives.
    """
    try:
        text = read_file(file)
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:  # which no annotation needs
            raise DataError(f"{file} declares a document type or entities; take them out")
        root = ET.fromstring(text)  # noqa: S314 - without entities
        return _within_image(file, root, [_object(file, item) for item in root.findall("object")])
    except (OSError, ValueError, LookupError, ET.ParseError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"cannot read {file} ({why}); correct it or unpack the archive anew") from (
            error
        )


def _within_image(file: Path, root: ET.Element, objects: list[_Named]) -> list[_Named]:
    """Return the objects, all within the image if the annotation says how large that is."""
    width, height = (float(root.findtext(f"size/{side}") or 0) for side in ("width", "height"))
    for name, _, (x0, y0, x1, y1) in objects if width and height else ():
        # a pixel more is how some count, from 0 or to the last pixel's edge
        if min(x0, y0) < -1 or x1 > width + 1 or y1 > height + 1:
            raise DataError(
                f"{file}: found an object {name!r} in the box {x0 + 1:g}, {y0 + 1:g}, {x1:g}, "
                f"{y1:g} (xmin, ymin, xmax, ymax), outside the image of {width:g} x {height:g} "
                "pixels; correct it or take it out"
            )
    return objects


def _object(file: Path, item: ET.Element) -> _Named:
    name = item.findtext("name", "").strip()
    x0, y0, x1, y1 = (
        float(item.findtext(f"bndbox/{edge}", "")) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    box = (x0 - 1, y0 - 1, x1, y1)
    if not name or not all(map(math.isfinite, box)) or box[0] >= x1 or box[1] >= y1:
        raise DataError(
            f"{file}: found an object {name!r} in the box {x0:g}, {y0:g}, {x1:g}, {y1:g} (xmin, "
            "ymin, xmax, ymax); it needs a name and a box with an area; correct it or take it out"
        )
    return name, item.findtext("difficult", "0").strip() == "1", box


def _annotated(file: Path, numbers: Mapping[str, int]) -> Objects:
    known = [item for item in read_annotation(file) if item[0] in numbers]
    return Objects(
        np.array([box for _, _, box in known], np.float32).reshape(-1, 4),
        np.array([numbers[name] for name, _, _ in known], np.int64),
        np.array([difficult for _, difficult, _ in known], np.bool_),
    )
