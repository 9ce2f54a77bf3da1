"""Features that somebody else computed, as a store."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from decaf.choices import Dtype, checked
from decaf.errors import ConfigError, DecafError, StoreError
from decaf.escapes import csv_word
from decaf.store.checksums import BLOCK_BYTES
from decaf.store.exported import PARQUET_KEY, pyarrow
from decaf.store.layout import NAMES, TABLE
from decaf.store.provenance import Provenance
from decaf.store.writer import FeatureWriter
from decaf.table_digest import dataset_digest
from decaf.types import ImageDataset, Preprocessing, label_kind

FILES = (".npy", ".npz", ".parquet", ".csv", ".h5", ".hdf5")
BACKBONE = "imported"
UNKNOWN_VIEW = "unknown"
_UNKNOWN = Preprocessing(0, 0, "unknown", "unknown", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_MANIFEST = {"", "path", "label", "target", "split", "group"}
_ARROW_NUMBERS = {"halffloat", "float", "double"}
_NUMBERED = re.compile(r"(.+)\.[0-9]+")


@checked
def import_features(
    features: Path | str,
    table: ImageDataset | None,
    out: Path | str,
    *,
    layer: str | None = None,
    dtype: Dtype | None = None,
) -> Path:
    """Make a store of features that stand in a file.

    Parameters
    ----------
    features : pathlib.Path or str
        ``.npy``, ``.npz``, ``.parquet``, ``.csv`` or ``.h5``: numbers of shape
        ``(n_images, n_features)`` or ``(n_images, n_views, n_features)``. A row that is NaN
        throughout is of an image that failed.
    table : ImageDataset or None
        The images, in the order of the rows; they need not be there. None takes the one that
        `export_features` wrote into an ``.npz`` or ``.parquet`` file.
    out : pathlib.Path or str
        The store to make (``.h5``).
    layer : str, optional
        Which array of the file, where it holds several; also the layer's name in the store.
    dtype : {"float32", "float16"}, optional
        What is stored; values are rounded to it. If not given, float16 stays as it is and all
        else becomes float32, if that holds every value exactly.

    Returns
    -------
    pathlib.Path
        The store. Its backbone is ``imported``, its weights are the file, with its SHA-256, and
        for the content of an image stands the SHA-256 of its features.

    Raises
    ------
    ConfigError
        If the file is of another kind, there is no table, or pyarrow is not installed.
    StoreError
        If the file cannot be read, has other rows than the table, or values that are not finite or
        not exact; or the store cannot be written.
    """
    path, out = Path(features), Path(out)
    with _opened(path, layer) as found:
        rows = _own_table(path, found.table) if table is None else table
        _check_shape(path, found, rows)
        stored = _check_values(path, found, rows, dtype)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        made = Provenance(
            dataset=rows.name, dataset_digest=dataset_digest(rows), n_images=len(rows.image_ids),
            backbone=BACKBONE, weights=path.name, weights_sha256=sha256, preprocessing=_UNKNOWN,
            views=(UNKNOWN_VIEW,), layers=(found.layer,), pooling="none", dtype=stored,
            precision="unknown", pixels="unknown", versions={},
        )  # fmt: skip
        *views, n_features = found.shape[1:]
        with FeatureWriter(out, made, rows, {found.layer: n_features}, *views) as writer:
            for start, block in _blocks(path, found):
                _write(writer, start, block.astype(stored), path.name)
            return writer.finish()


@dataclass
class _Found:
    """What a file holds: the name and the rows of an array, and columns of a table."""

    layer: str
    values: Any
    table: Mapping[str, npt.NDArray[Any]]

    def __post_init__(self) -> None:
        self.shape: tuple[int, ...] = tuple(self.values.shape)
        self.dtype: np.dtype[Any] = np.dtype(self.values.dtype)


def _write(writer: FeatureWriter, start: int, block: npt.NDArray[Any], name: str) -> None:
    pending = np.isin(np.arange(start, start + len(block)), writer.pending())
    failed = np.isnan(block.reshape(len(block), -1)).all(axis=1)
    kept = np.flatnonzero(pending & ~failed)
    if len(kept):
        digests = [hashlib.sha256(block[i].tobytes()).digest() for i in kept]
        writer.write(start + kept, {writer.layers[0]: block[kept]}, digests)
    for i in np.flatnonzero(pending & failed).tolist():
        writer.fail(start + i, f"no features in {name}")


def _check_shape(path: Path, found: _Found, rows: ImageDataset) -> None:
    shape, dtype = found.shape, found.dtype
    if len(shape) not in (2, 3) or not all(shape) or dtype.kind not in "fiu":
        raise StoreError(
            f"asked to import {path}, found {dtype} of shape {shape}; give numbers of shape "
            "(n_images, n_features) or (n_images, n_views, n_features)"
        )
    if shape[0] != len(rows.image_ids):
        raise StoreError(
            f"asked to import {path}, found {shape[0]} rows of features and "
            f"{len(rows.image_ids)} images in the table; give a table with one line for each row, "
            "in their order"
        )


def _check_values(path: Path, found: _Found, rows: ImageDataset, asked: Dtype | None) -> str:
    """Return the dtype that is stored, once every value is known to fit it."""
    source = found.dtype
    stored = asked or ("float16" if (source.kind, source.itemsize) == ("f", 2) else "float32")
    n_failed = 0
    for start, block in _blocks(path, found):
        with np.errstate(over="ignore", invalid="ignore"):
            cast = block.astype(stored)
            exact = ((cast.astype(source) == block) | ~np.isfinite(cast)).all()
        flat = cast.reshape(len(cast), -1)
        failed = np.isnan(block.reshape(len(block), -1)).all(axis=1)
        n_failed += int(failed.sum())
        wrong = np.flatnonzero(~np.isfinite(flat).all(axis=1) & ~failed)
        if len(wrong):
            row = start + int(wrong[0])
            raise StoreError(
                f"asked to import {path} as {stored}, found a value of row {row} "
                f"({rows.image_ids[row]}) that is not finite there; leave the row out, or make it "
                "NaN throughout if the image failed"
            )
        if asked is None and not exact:
            raise StoreError(
                f"asked to import {path}, found values of {source} that {stored} cannot hold "
                f"exactly; give --dtype {stored} to round them"
            )
    if n_failed == len(rows.image_ids):
        raise StoreError(f"asked to import {path}, found NaN in every row; give features")
    return stored


def _blocks(path: Path, found: _Found) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    row_bytes = 8 * int(np.prod(found.shape[1:]))
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, found.shape[0], step):
        with _reading(path):
            block = np.asarray(found.values[start : start + step])
        yield start, block


def _own_table(path: Path, columns: Mapping[str, npt.NDArray[Any]]) -> ImageDataset:
    """Return the table that stands in a file beside its features."""
    if not {"name", "image_ids", "class_names", "labels"} <= set(columns):
        raise ConfigError(
            f"asked to import {path} without a table, found none in it; give --table rows.csv "
            "with the columns path,label"
        )
    n_rows, n_classes = len(columns["image_ids"]), len(columns["class_names"])
    labels = columns["labels"]
    low, high = (0, n_classes - 1) if labels.ndim == 1 else (-1, 1)
    each = [column for name, column in columns.items() if name in TABLE]
    numeric = label_kind(labels) == "number" and np.isfinite(labels).all() and labels.ndim == 2
    classes = labels.dtype.kind == "i" and labels.min() >= low and labels.max() <= high
    if not (numeric or classes):
        raise StoreError(f"asked to import {path}, found labels that its classes do not have")
    if any(len(c) != n_rows for c in each if c is not columns["class_names"] and c.ndim):
        raise StoreError(f"asked to import {path}, found columns of other lengths than its ids")
    fields = {
        name: tuple(map(str, column.tolist())) if name in NAMES else column
        for name, column in columns.items()
        if name in TABLE and name != "partial"
    }
    return ImageDataset(
        name=str(columns["name"]),
        root=path.parent,
        sizes_bytes=np.full(n_rows, -1, np.int64),
        partial=bool(np.any(columns.get("partial", False))),
        **fields,  # type: ignore[arg-type] # read by name
    )


@contextmanager
def _opened(path: Path, layer: str | None) -> Iterator[_Found]:
    """Yield what a file holds, and say of its damage what to do."""
    if path.suffix.lower() not in FILES:
        raise ConfigError(
            f"asked to import {path}, found no kind of file that is read; give one of: "
            f"{', '.join(FILES)}"
        )
    with ExitStack() as stack:
        with _reading(path):
            found = _READERS[path.suffix.lower()](path, layer, stack)
        yield found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever a library says of a file that it cannot read into one message."""
    try:
        yield
    except DecafError:
        raise
    except Exception as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise StoreError(
            f"asked to import {path}, found: {reason}; give a whole file of its kind"
        ) from error


def _read_npy(path: Path, layer: str | None, _: ExitStack) -> _Found:
    values = np.load(path, mmap_mode="r", allow_pickle=False)
    return _Found(layer or path.stem, values, {})


def _read_npz(path: Path, layer: str | None, stack: ExitStack) -> _Found:
    opened = stack.enter_context(path.open("rb"))
    file = stack.enter_context(np.load(opened, allow_pickle=False))
    columns = {name: file[name] for name in file.files if name in (*TABLE, "name")}
    name = _chosen(path, [name for name in file.files if name not in columns], layer)
    return _Found(layer or _base(name), file[name], columns)


def _read_h5(path: Path, layer: str | None, stack: ExitStack) -> _Found:
    file = stack.enter_context(h5py.File(path, "r"))
    found: dict[str, h5py.Dataset] = {}
    # follows no link to another file
    file.visititems(
        lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None
    )
    names = [name for name, one in found.items() if one.ndim == 2] if layer is None else list(found)
    values = found[_chosen(path, names, layer)]
    if values.is_virtual or values.external:
        raise StoreError(f"asked to import {path}, found values of other files; import those")
    return _Found(layer or _base(values.name), values, {})


def _read_parquet(path: Path, layer: str | None, _: ExitStack) -> _Found:
    file = pyarrow().parquet.ParquetFile(path)
    schema = file.schema_arrow
    about = json.loads((schema.metadata or {}).get(PARQUET_KEY, b"{}"))
    columns = {name: np.asarray(value) for name, value in about.items()}
    kinds = {one.name: str(one.type) for one in schema if one.name not in TABLE}
    lists = [name for name, kind in kinds.items() if "list" in kind]
    numbers = [name for name, kind in kinds.items() if kind in _ARROW_NUMBERS]
    own = file.read([one for one in schema.names if one in TABLE])
    columns |= {one: _from_arrow(own[one]) for one in own.column_names}
    if lists or not numbers:
        name = _chosen(path, lists, layer)
        return _Found(layer or _base(name), _from_arrow(file.read([name])[name]), columns)
    read = file.read(numbers)
    values = np.column_stack([_from_arrow(read[name]) for name in numbers])
    return _Found(layer or path.stem, values, columns)


def _read_csv(path: Path, layer: str | None, _: ExitStack) -> _Found:
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        header = [csv_word(cell) for cell in next(lines, [])]
        found = [m[1] if (m := _NUMBERED.fullmatch(name)) else "" for name in header]
        if any(found):
            name = _chosen(path, list(dict.fromkeys(filter(None, found))), layer)
        else:  # all that is not the manifest's
            name = path.stem
            found = ["" if one.strip().lower() in _MANIFEST else name for one in header]
        places = [place for place, one in enumerate(found) if one == name]
        values = [np.array([line[i] for i in places], np.float64) for line in lines if line]
    return _Found(layer or name, np.stack(values), {})


_READERS = {
    ".npy": _read_npy,
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".h5": _read_h5,
    ".hdf5": _read_h5,
}


def _chosen(path: Path, names: list[str], layer: str | None) -> str:
    """Return the name of the array that is asked for, or of the only one."""
    fitting = [name for name in names if layer is None or layer in (name, _base(name))]
    if len(fitting) == 1:
        return fitting[0]
    shown = ", ".join(names[:20]) or "none"
    raise StoreError(
        f"asked to import {layer or 'the only array'} of {path}, found: {shown}; "
        f"{'name one by --layer' if names else 'give a file with an array of features'}"
    )


def _base(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def _from_arrow(column: Any) -> npt.NDArray[Any]:
    """Return a column as an array; lists must be of one size and without gaps."""
    values, shape = column.combine_chunks(), [len(column)]
    if values.null_count:
        raise ValueError("empty cells")
    while "list" in str(values.type).split("<", 1)[0]:
        lengths = pyarrow().compute.list_value_length(values).unique().to_pylist()
        values = values.flatten()
        if len(lengths) != 1 or values.null_count:
            raise ValueError("lists of several sizes, or with empty places")
        shape.append(lengths[0])
    found: npt.NDArray[Any] = np.asarray(values.to_numpy(zero_copy_only=False)).reshape(shape)
    return found.astype(np.str_) if found.dtype == object else found
