"""A CSV file as a data set: ``path,label[,split][,group]``, one image a line.

Paths are relative to the file's folder, or absolute. Several labels of one image are joined by
``|``. A column ``target`` in place of ``label`` holds numbers to predict. What spreadsheets make of
such a file is understood where it can mean one thing only.
"""

import codecs
import csv
import os
import posixpath
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np

from decaf.datasets.image_tables import image_table, official_sides
from decaf.datasets.order import natural_sorted
from decaf.datasets.passed_over import say_once
from decaf.datasets.tar_reader import MAX_PATH_BYTES
from decaf.datasets.tar_samples import MAX_CLASS_BYTES
from decaf.errors import DataError
from decaf.escapes import csv_word
from decaf.types import SIDES, FloatArray, ImageDataset, IntArray

_COLUMNS = ("path", "label", "split", "group")
_TARGET = "target"
_HEADER = (
    "the first line is the header path,label, or path,target for numbers to predict, then split or "
    "group or both if wanted"
)
_DELIMITERS = ",;\t"


def load_manifest(file: Path, *, images: bool = True) -> ImageDataset:
    """Read a CSV file of images and labels.

    Parameters
    ----------
    file : pathlib.Path
        UTF-8, UTF-16 with its mark, or Windows-1252, which is said; separated by commas, semicolons
        or tabs, with a header in either case; the order of its lines is kept, other columns are
        passed over and named. Its name without suffix is the data set's.
    images : bool
        False where only the rows matter: images need not be there, and other columns are not named.

    Returns
    -------
    ImageDataset
        One row a line. Labels are multi-label, 1 or -1, if any line joins several by ``|``, and
        float64 numbers where the column is ``target``. A path is taken as it is written; if there
        is no such file, as Windows or another Unicode form writes it.

    Raises
    ------
    DataError
        A column, a value or the encoding is wrong; the message names the line.
    """
    rows = _read(file, images)
    _refuse_empty(file, rows, "group", rows.groups if any(rows.groups) else ())
    labels, class_names = _targets(file, rows) if rows.numeric else _labels(file, rows)
    root = file.parent
    files = _Files(root)
    found = map(files.found, rows.paths) if images else ((path, -1) for path in rows.paths)
    ids, sizes = zip(*found, strict=True)
    return image_table(
        file.stem,
        root,
        ids,
        labels,
        class_names,
        official=official_sides(str(file), rows.sides) if rows.sides else None,
        groups=rows.groups if any(rows.groups) else None,
        sizes_bytes=sizes,
        images=images,
    )


def _labels(file: Path, rows: "_Rows") -> tuple[IntArray, list[str]]:
    """Return class numbers, or a label matrix, and the names of the classes."""
    names = [[name.strip() for name in label.split("|")] for label in rows.labels]
    class_names = natural_sorted({name for several in names for name in several if name})
    numbers = {name: number for number, name in enumerate(class_names)}
    if any(len(several) > 1 for several in names):
        return _multi_labels(names, numbers), class_names
    _refuse_empty(file, rows, "label", rows.labels)
    return np.array([numbers[several[0]] for several in names]), class_names


def _targets(file: Path, rows: "_Rows") -> tuple[FloatArray, list[str]]:
    """Return numbers to predict ``(n_images, 1)``, and the name of their column."""
    _refuse_empty(file, rows, _TARGET, rows.labels)
    found = np.empty((len(rows.labels), 1))
    for row, text in enumerate(rows.labels):
        try:
            found[row] = float(text)
        except ValueError:
            found[row] = np.nan
        if not np.isfinite(found[row, 0]):
            raise DataError(
                f"{file}, line {rows.lines[row]}: found the target {text[:80]!r}; write a finite "
                "number with a decimal point, or call the column label if these are classes"
            )
    if np.ptp(found) == 0:
        raise DataError(
            f"{file}: every target is {rows.labels[0][:80]}, so that there is nothing to predict; "
            "give different ones"
        )
    return found, [_TARGET]


def _refuse_empty(file: Path, rows: "_Rows", what: str, values: Sequence[str]) -> None:
    if "" in values:
        row = values.index("")
        raise DataError(
            f"{file}, line {rows.lines[row]}: the {what} of {rows.paths[row]!r} is empty; fill it "
            "in"
        )


@dataclass
class _Rows:
    numeric: bool = False
    lines: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    sides: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def _read(file: Path, images: bool) -> _Rows:
    encoding = _encoding(file)
    rows = _Rows()
    line = 0
    try:
        with file.open(encoding=encoding, newline="") as stream:
            delimiter = _delimiter(file, stream.readline())
            stream.seek(0)
            reader = csv.reader(stream, strict=True, delimiter=delimiter)
            columns = _columns(file, next(reader))
            rows.numeric = "label" not in columns.values()
            used: Counter[int] = Counter()
            for values in reader:
                line = reader.line_num
                used.update(place for place, value in enumerate(values) if value.strip())
                if any(value.strip() for value in values):  # spreadsheets add empty lines
                    _add(rows, f"{file}, line {line}", line, columns, values)
    except UnicodeDecodeError as error:
        raise _badly_encoded(file, encoding) from error
    except csv.Error as error:
        raise DataError(f"{file}, after line {line or 1}: {error}; correct the quotes") from error
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    if not rows.paths:
        raise DataError(f"{file} lists no images; write one a line under the header")
    unused = [
        name
        for place, name in columns.items()
        if name not in _COLUMNS and not (rows.numeric and name == _TARGET) and used[place]
    ]
    if unused and images:
        say_once(f"{file}: not used are the columns {', '.join(unused)}")
    return rows


def _encoding(file: Path) -> str:
    """Return how a file is encoded; what is not Unicode is read as Excel's plain CSV, and said."""
    with file.open("rb") as stream:
        start = stream.read(2)
        if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        stream.seek(0)
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                byte = line[error.start : error.start + 1]
                say_once(
                    f"{file}, line {number} is not UTF-8: found the byte 0x{byte.hex()}, read as "
                    f"{byte.decode('cp1252', 'replace')!r} of Windows-1252; if that is wrong, save "
                    "the file as 'CSV UTF-8'"
                )
                return "cp1252"
    return "utf-8-sig"


def _badly_encoded(file: Path, encoding: str) -> DataError:
    begins = "UTF-16" if encoding == "utf-16" else "Windows-1252"
    return DataError(f"{file} begins as {begins} and is not; save it as UTF-8")


def _delimiter(file: Path, header: str) -> str:
    """Return what separates the columns of the header."""
    found = [
        delimiter
        for delimiter in _DELIMITERS
        if _names_images({_column(name) for name in header.split(delimiter)})
    ]
    if not found:
        raise _no_columns(file, header.split(","))
    return found[0]


def _names_images(columns: set[str]) -> bool:
    return "path" in columns and bool({"label", _TARGET} & columns)


def _no_columns(file: Path, header: list[str]) -> DataError:
    names = ", ".join(name.strip() for name in header)[:200] or "nothing"
    return DataError(f"{file}: found the columns {names}; {_HEADER}")


def _column(name: str) -> str:
    return name.strip().strip('"').strip().lower()


def _columns(file: Path, header: list[str]) -> dict[int, str]:
    """Return the name of each column; those without a name are called after their number."""
    columns = {place: _column(name) for place, name in enumerate(header)}
    if not _names_images(set(columns.values())):
        raise _no_columns(file, header)
    for name in (*_COLUMNS, _TARGET):
        if list(columns.values()).count(name) > 1:
            raise DataError(f"{file}: found the column {name} twice; leave one")
    return {
        place: name
        if name in (*_COLUMNS, _TARGET)
        else header[place].strip() or f"number {place + 1}"
        for place, name in columns.items()
    }


def _add(rows: _Rows, where: str, line: int, columns: dict[int, str], values: list[str]) -> None:
    if len(values) < len(columns) or any(value.strip() for value in values[len(columns) :]):
        raise DataError(
            f"{where}: its number of values is not that of the header; write one for each column, "
            "and quote a value that holds a comma"
        )
    named = {columns[place]: value.strip() for place, value in enumerate(values[: len(columns)])}
    named |= {name: csv_word(word) for name, word in named.items() if name != "path"}
    if any("\0" in named.get(name, "") for name in ("path", "label", _TARGET, "group")):
        raise DataError(f"{where}: found a zero byte; the file is damaged, write it anew")
    rows.lines.append(line)
    rows.paths.append(_path(where, named["path"]))
    label = _TARGET if rows.numeric else "label"
    rows.labels.append(_name(where, label, named[label]))
    if "group" in named:
        rows.groups.append(_name(where, "group", named["group"]))
    if "split" in named:
        side = named["split"].lower()
        if side not in SIDES:
            raise DataError(
                f"{where}: found the split {named['split'][:80]!r}; choose one of: "
                f"{', '.join(SIDES)}"
            )
        rows.sides.append(side)


def _path(where: str, path: str) -> str:
    if len(path.encode(errors="replace")) > MAX_PATH_BYTES:
        raise DataError(
            f"{where}: the path {path[:40]!r}... is longer than {MAX_PATH_BYTES} bytes, which no "
            "file can have; correct it"
        )
    if path.lower().startswith("file:"):
        parts = urlsplit(path)
        path = unquote(parts.path) if parts.netloc in ("", "localhost") else ""
    elif "://" in path:
        raise DataError(
            f"{where}: found the URL {path[:80]!r}; get the image, and give the path of its file"
        )
    if not path or "\0" in path:
        raise DataError(f"{where}: found the path {path!r}; give that of an image")
    return posixpath.normpath(path)


def _name(where: str, what: str, name: str) -> str:
    if len(name.encode(errors="replace")) > MAX_CLASS_BYTES:
        raise DataError(
            f"{where}: the {what} {name[:40]!r}... is longer than {MAX_CLASS_BYTES} bytes; "
            "shorten it"
        )
    return unicodedata.normalize("NFC", name)


class _Files:
    """Finds the file that a path means, and its path relative to the root."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._here = os.path.abspath(root)  # noqa: PTH100 - a prefix of paths as written
        self._real = os.path.realpath(root)

    def found(self, path: str) -> tuple[str, int]:
        """Return the path relative to the root and the size of the file, -1 if it is not there."""
        for form in self._forms(path):
            try:
                return form, os.stat(f"{self._root}/{form}").st_size  # noqa: PTH116 - paths are slow
            except (OSError, ValueError):
                continue
        return self._relative(path), -1

    def _forms(self, path: str) -> Iterator[str]:
        for slashes in (path, posixpath.normpath(path.replace("\\", "/"))):
            yield self._relative(slashes)
            for form in ("NFC", "NFD"):
                yield self._relative(unicodedata.normalize(form, slashes))

    def _relative(self, path: str) -> str:
        if path.startswith("../"):  # a way back into the root is not another name of a file
            return posixpath.relpath(f"{self._real}/{path}", self._real)
        if not path.startswith("/"):
            return path
        if path.startswith(f"{self._here}/"):
            return path[len(self._here) + 1 :]
        return posixpath.relpath(path, self._real)


def _multi_labels(names: list[list[str]], numbers: dict[str, int]) -> IntArray:
    labels = np.full((len(names), len(numbers)), -1, dtype=np.int8)
    for row, several in enumerate(names):
        labels[row, [numbers[name] for name in several if name]] = 1
    return labels
