"""Boxes from files: CSV, and what R-CNN's authors gave out."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.io import loadmat

from decaf.datasets.read import read_file
from decaf.errors import DataError
from decaf.escapes import csv_word
from decaf.types import SIDES, FloatArray

EDGES = ("x1", "y1", "x2", "y2")
_YES = {"": False, "0": False, "1": True}


@dataclass(frozen=True)
class BoxLine:
    """One line of a CSV file of boxes.

    Attributes
    ----------
    where : str
        File and line, for messages.
    path : str
        The image.
    label, side : str
        Class and side of the split; empty where there is none.
    difficult : bool
        Whether the object is left out of tests.
    score : float
        Of a proposal; 0 where there is none.
    box : tuple of float or None
        Half-open, in pixels from 0; None for an image without objects.
    """

    where: str
    path: str
    label: str
    side: str
    difficult: bool
    score: float
    box: tuple[float, float, float, float] | None


def read_box_lines(file: Path, *, labelled: bool) -> list[BoxLine]:
    """Read a CSV file of ``path,x1,y1,x2,y2`` and further columns, in any order.

    Parameters
    ----------
    file : pathlib.Path
        UTF-8, with a header. Boxes are half-open, in pixels from 0, as decaf writes them. A line
        without a box is an image without objects.
    labelled : bool
        Whether there is a column ``label``; then ``difficult`` (0 or 1) and ``split`` are read as
        well, else ``score``.

    Raises
    ------
    DataError
        If a column or value is wrong; the message names the line.
    """
    wanted = ("path", *EDGES, *(("label",) if labelled else ()))
    try:
        stream = io.StringIO(read_file(file).decode("utf-8-sig"), newline="")
        reader = csv.DictReader(stream, strict=True)
        columns = [name.strip().lower() for name in reader.fieldnames or ()]
        if missing := [name for name in wanted if name not in columns]:
            raise DataError(
                f"{file}: found the columns {', '.join(columns) or 'nothing'}; add "
                f"{', '.join(missing)}"
            )
        reader.fieldnames = columns
        lines = [_line(f"{file}, line {reader.line_num}", row) for row in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (OSError, csv.Error) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"asked to read the boxes in {file}, found: {why}; correct it") from error
    edges = [edge for line in lines for edge in line.box or ()]
    if edges and max(edges) <= 1:
        raise DataError(f"{file}: no box goes beyond 1, as shares of an image do; give pixels")
    return lines


def _line(where: str, row: Mapping[str, str | None]) -> BoxLine:
    one = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    path, label, side = (csv_word(one.get(name, "")) for name in ("path", "label", "split"))
    difficult = one.get("difficult", "")
    if not path or side not in ("", *SIDES) or difficult not in _YES:
        raise DataError(
            f"{where}: found path {path!r}, split {side!r}, difficult {difficult!r}; a path is "
            f"needed, a split is one of {', '.join(SIDES)}, difficult is 0 or 1"
        )
    box = None
    try:
        if any(one[edge] for edge in EDGES):
            x1, y1, x2, y2 = (float(one[edge]) for edge in EDGES)
            box = (x1, y1, x2, y2)
            check_box(box, where)
        score = float(one.get("score") or 0)
    except ValueError as error:
        raise DataError(f"{where}: {error}; give numbers") from error
    if (box is None) != (label == "") and "label" in one:
        raise DataError(
            f"{where}: found a label without a box, or a box without a label; give both"
        )
    return BoxLine(where, path, label, side, _YES[difficult], score, box)


def check_box(box: tuple[float, float, float, float], where: str) -> None:
    """Refuse a half-open box that holds nothing.

    Raises
    ------
    DataError
        If an edge is not finite, or the box has no area.
    """
    x1, y1, x2, y2 = box
    if not all(map(math.isfinite, box)) or x1 >= x2 or y1 >= y2:
        said = ", ".join(f"{edge:g}" for edge in box)
        raise DataError(
            f"{where}: found the box {said} (left, top, right, bottom), which has no area; correct "
            "it or take it out"
        )


def read_proposals(file: Path) -> dict[str, FloatArray]:
    """Read proposals that another program made.

    Parameters
    ----------
    file : pathlib.Path
        A CSV of ``path,x1,y1,x2,y2[,score]``, whose higher scores come first; or the ``.mat`` of
        R-CNN's authors: names in ``images`` and boxes in ``boxes``, ``y1 x1 y2 x2`` inclusive,
        from 1.

    Returns
    -------
    dict of str to numpy.ndarray
        ``(n, 4)`` float32 half-open boxes by the stem of an image's name.

    Raises
    ------
    DataError
        If the file is malformed.
    """
    if file.suffix.lower() == ".mat":
        return _read_mat(file)
    found: dict[str, list[tuple[float, tuple[float, ...]]]] = {}
    for line in read_box_lines(file, labelled=False):
        boxes = found.setdefault(PurePosixPath(line.path).stem, [])
        if line.box is not None:
            boxes.append((-line.score, line.box))
    return {
        stem: np.array([box for _, box in sorted(some, key=lambda one: one[0])], np.float32)
        .reshape(-1, 4)
        for stem, some in found.items()
    }  # fmt: skip


def _read_mat(file: Path) -> dict[str, FloatArray]:
    try:
        held = loadmat(io.BytesIO(read_file(file)), squeeze_me=True, struct_as_record=False)
        names, boxes = np.atleast_1d(held["images"]), np.atleast_1d(held["boxes"])
        found = {}
        for name, some in zip(names.tolist(), boxes.tolist(), strict=True):
            y1, x1, y2, x2 = np.asarray(some, np.float32).reshape(-1, 4).T
            found[PurePosixPath(str(name)).stem] = np.stack([x1 - 1, y1 - 1, x2, y2], 1)
    except Exception as error:  # scipy raises whatever comes of damaged files
        raise DataError(
            f"asked to read the boxes in {file}, found {type(error).__name__}: {error}; it needs "
            "the cells images and boxes, as R-CNN's authors gave them out"
        ) from error
    return found
