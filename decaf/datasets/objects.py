"""Where the objects of a data set's images are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from decaf.errors import DataError
from decaf.types import FloatArray, ImageDataset, IntArray


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
        If it is missing or malformed.
    """
    try:
        found = []
        for item in ET.parse(file).getroot().findall("object"):  # noqa: S314 (no entities are fetched; the file comes with the checked archive)
            x0, y0, x1, y1 = (
                float(item.findtext(f"bndbox/{edge}", ""))
                for edge in ("xmin", "ymin", "xmax", "ymax")
            )
            difficult = item.findtext("difficult", "0").strip() == "1"
            found.append((item.findtext("name", ""), difficult, (x0 - 1, y0 - 1, x1, y1)))
            if not all(map(math.isfinite, (x0, y0, x1, y1))):
                raise DataError(f"{file} holds a box that is not finite; unpack the archive anew")
    except (OSError, ValueError, LookupError, ET.ParseError) as error:
        raise DataError(f"cannot read {file} ({error}); unpack the archive anew") from error
    return found


def _annotated(file: Path, numbers: Mapping[str, int]) -> Objects:
    known = [item for item in read_annotation(file) if item[0] in numbers]
    return Objects(
        np.array([box for _, _, box in known], np.float32).reshape(-1, 4),
        np.array([numbers[name] for name, _, _ in known], np.int64),
        np.array([difficult for _, difficult, _ in known], np.bool_),
    )
