"""A CSV file as a data set: ``path,label[,split]``, one picture a line.

Paths are relative to the file's folder. Several labels of one picture are joined by ``|``.
"""

import csv
import posixpath
from pathlib import Path

import numpy as np

from decaf.datasets.order import natural_sorted
from decaf.datasets.table import image_table, official_sides
from decaf.errors import DataError
from decaf.types import SIDES, ImageDataset, IntArray

_HEADER = "the first line is the header path,label or path,label,split"


def load_manifest(file: Path) -> ImageDataset:
    """Read a CSV file of pictures and labels.

    Parameters
    ----------
    file : pathlib.Path
        UTF-8, comma-separated, with a header; the order of its lines is kept, other columns
        are passed over. Its name without suffix is the data set's.

    Returns
    -------
    ImageDataset
        One row a line. Labels are multi-label, 1 or -1, if any line joins several by ``|``.

    Raises
    ------
    DataError
        A column, a value or the encoding is wrong; the message names the line.
    """
    rows = _read(file)
    names = [[name.strip() for name in row["label"].split("|")] for row in rows]
    multi = any(len(several) > 1 for several in names)
    class_names = natural_sorted({name for several in names for name in several if name})
    numbers = {name: number for number, name in enumerate(class_names)}
    unlabelled = [row["path"] for row in rows if not row["label"]]
    if unlabelled and not multi:
        raise DataError(f"{file}: the label of {unlabelled[0]!r} is empty; fill it in")
    sides = [row["split"].lower() for row in rows] if "split" in rows[0] else None
    return image_table(
        file.stem,
        file.parent,
        [row["path"] for row in rows],
        _multi_labels(names, numbers) if multi else [numbers[several[0]] for several in names],
        class_names,
        official=None if sides is None else official_sides(str(file), sides),
    )


def _read(file: Path) -> list[dict[str, str]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            header = reader.fieldnames or ()
            columns = [column for column in ("path", "label", "split") if column in header]
            if columns[:2] != ["path", "label"]:
                found = ", ".join(header) or "nothing"
                raise DataError(f"{file}: found the columns {found}; {_HEADER}")
            rows = [_row(file, reader.line_num, row, columns) for row in reader]
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except csv.Error as error:
        raise DataError(
            f"{file}, after line {reader.line_num}: {error}; correct the quotes"
        ) from error
    if not rows:
        raise DataError(f"{file} lists no pictures; write one a line under the header")
    return rows


def _row(
    file: Path, line: int, row: dict[str | None, str | None], columns: list[str]
) -> dict[str, str]:
    if None in row or None in row.values():
        raise DataError(
            f"{file}, line {line}: its number of values is not that of the header; write one for "
            "each column, and quote a value that holds a comma"
        )
    values = {column: str(row[column]).strip() for column in columns}
    path = values["path"]
    if not path or path.startswith("/"):
        raise DataError(
            f"{file}, line {line}: found the path {path!r}; give it relative to {file.parent}"
        )
    values["path"] = posixpath.normpath(path)
    if "split" in values and values["split"].lower() not in SIDES:
        raise DataError(
            f"{file}, line {line}: found the split {values['split']!r}; "
            f"choose one of: {', '.join(SIDES)}"
        )
    return values


def _multi_labels(names: list[list[str]], numbers: dict[str, int]) -> IntArray:
    labels = np.full((len(names), len(numbers)), -1, dtype=np.int8)
    for row, several in enumerate(names):
        labels[row, [numbers[name] for name in several if name]] = 1
    return labels
