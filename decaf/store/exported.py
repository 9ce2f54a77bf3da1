"""A store's features in other forms: arrays of numpy, Parquet, CSV.

::

    npy      FOLDER/<layer>.npy and FOLDER/rows.csv, a manifest: path,label[,split][,group]
    csv      the manifest's columns, then <layer>.0, <layer>.1, ... of each layer
    npz      features/<layer> and every column of the table, by the names they have in a store
    parquet  the same as columns, and the label in words; names of classes in the schema's metadata

Each has a row for every image. Features of an image that failed are NaN.
"""

import csv
import json
import posixpath
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from decaf.choices import FeatureForm, checked
from decaf.errors import ConfigError, StoreError
from decaf.escapes import csv_cell, csv_path
from decaf.extras import missing_extra
from decaf.progress import log
from decaf.store.checksums import BLOCK_BYTES
from decaf.store.layout import NAMES, TABLE
from decaf.store.reader import FeatureStore, label_texts
from decaf.types import SIDES, FloatArray, ImageDataset
from decaf.whole_files import require_writable, whole_file, whole_folder

ROWS = "rows.csv"
PARQUET_KEY = b"decaf"


@checked
def export_features(
    store: Path | str,
    out: Path | str,
    to: FeatureForm,
    *,
    layers: str | Sequence[str] | None = None,
) -> Path:
    """Write features, ids and labels of a store in another form.

    Parameters
    ----------
    store : pathlib.Path or str
        The store.
    out : pathlib.Path or str
        The file to write; with ``npy`` the folder, new or empty.
    to : {"npy", "npz", "parquet", "csv"}
        The form. ``npz`` and ``parquet`` hold all that the store has beside features; ``npy`` and
        ``csv`` what a manifest can say, and what they leave out is named on stderr.
    layers : str or sequence of str, optional
        Comma-separated if one string; all of the store's if not given.

    Raises
    ------
    ConfigError
        If a layer is not in the store, a file's name does not fit the form, or pyarrow is not
        installed.
    StoreError
        If the store cannot be read, the form cannot hold its features, or the file is there.
    DataError
        If the file cannot be written.
    """
    out = Path(out)
    if to != "npy" and out.suffix.lower() != f".{to}":
        raise ConfigError(f"asked for {to} in {out}; give a name that ends in .{to}")
    if out.is_file():
        raise StoreError(f"asked to write {out}, found it there; delete it first")
    require_writable(out)
    with FeatureStore(store) as opened:
        named = layers.split(",") if isinstance(layers, str) else layers or opened.layers
        names = [name.strip() for name in named]
        for name in names:
            opened[name]  # refuses one that is not there
        _WRITERS[to](opened, names, out)
    return out


def pyarrow() -> Any:
    """Return pyarrow with its module of Parquet, or say how to install it."""
    try:
        import pyarrow.compute  # noqa: PLC0415 - an extra
        import pyarrow.parquet  # noqa: PLC0415 - part of the same extra
    except ImportError as error:
        raise missing_extra("Parquet", "parquet") from error
    return pyarrow


def _write_npy(store: FeatureStore, layers: Sequence[str], out: Path) -> None:
    with whole_folder(out) as folder:
        for layer in layers:
            with (folder / f"{layer}.npy").open("wb") as file:
                _write_array(file, store, layer)
        with (folder / ROWS).open("w", newline="", encoding="utf-8") as table:
            csv.writer(table).writerows(_manifest(store.table()))


def _write_npz(store: FeatureStore, layers: Sequence[str], out: Path) -> None:
    columns = table_columns(store.table())
    with whole_file(out) as part, zipfile.ZipFile(part, "w") as archive:
        for name in [*(f"features/{layer}" for layer in layers), *columns]:
            entry = zipfile.ZipInfo(f"{name}.npy")  # of no time: the same store, the same bytes
            with archive.open(entry, "w", force_zip64=True) as file:
                if name in columns:
                    np.lib.format.write_array(file, columns[name], allow_pickle=False)
                else:
                    _write_array(file, store, name.removeprefix("features/"))


def _write_csv(store: FeatureStore, layers: Sequence[str], out: Path) -> None:
    if store.n_views > 1:
        raise StoreError(
            f"asked for {store.path} as csv, found {store.n_views} views of an image, for which it "
            "has no columns; give --to npy, npz or parquet"
        )
    header, *rows = _manifest(store.table())
    columns = [f"{layer}.{i}" for layer in layers for i in range(store[layer].shape[1])]
    with whole_file(out) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*header, *map(csv_cell, columns)])
        for start, block in _blocks(store, layers):
            # as float64, whose shortest decimal says every bit of a narrower value
            values = np.hstack([block[layer].astype(np.float64) for layer in layers]).tolist()
            writer.writerows(
                [*row, *value] for row, value in zip(rows[start:], values, strict=False)
            )


def _write_parquet(store: FeatureStore, layers: Sequence[str], out: Path) -> None:
    arrow = pyarrow()
    table = store.table()
    columns = table_columns(table)
    about = {name: columns.pop(name).tolist() for name in ("class_names", "partial", "name")}
    columns["label"] = np.array(label_texts(table))
    with whole_file(out) as part:
        writer = None
        for start, block in _blocks(store, layers):
            stop = start + len(block[layers[0]])
            some = {name: column[start:stop] for name, column in columns.items()}
            some |= {f"features/{layer}": block[layer] for layer in layers}
            batch = arrow.table({name: _as_arrow(arrow, values) for name, values in some.items()})
            batch = batch.replace_schema_metadata({PARQUET_KEY: json.dumps(about)})
            writer = writer or arrow.parquet.ParquetWriter(part, batch.schema)
            writer.write_table(batch)
        if writer is not None:
            writer.close()


_WRITERS = {
    "npy": _write_npy,
    "npz": _write_npz,
    "parquet": _write_parquet,
    "csv": _write_csv,
}


def table_columns(table: ImageDataset) -> dict[str, npt.NDArray[Any]]:
    """Return a table as arrays, by the names that its columns have in a store, and its name."""
    found = {name: getattr(table, name) for name in (*TABLE, "name")}
    return {
        name: np.array(list(column), np.str_) if name in NAMES else np.asarray(column)
        for name, column in found.items()
        if column is not None
    }


def _manifest(table: ImageDataset) -> Iterator[list[str]]:
    """Yield the header and the rows of a manifest; name on stderr what it cannot say."""
    labels = label_texts(table)
    numeric = table.label_kind == "number"
    sides = table.official
    if sides is not None and (sides.shape[1] != 1 or not sides.all()):
        sides = None
    if lost := _unsaid(table, labels, sides is not None):
        log(f"left out of the table: {', '.join(lost)}; --to npz and --to parquet keep all")
    columns = {
        "path": map(csv_path, table.image_ids),
        "target" if numeric else "label": map(csv_cell, labels),
        "split": None if sides is None else (SIDES[side - 1] for side in sides[:, 0]),
        "group": None if table.groups is None else map(csv_cell, table.groups),
    }
    there = {name: column for name, column in columns.items() if column is not None}
    yield list(there)
    yield from map(list, zip(*there.values(), strict=True))


def _unsaid(table: ImageDataset, labels: Sequence[str], has_split: bool) -> list[str]:
    """Return what a manifest of a table cannot say."""
    several = any("|" in label for label in labels)
    names = {*labels, *(table.groups or ())}
    return [
        what
        for what, lost in {
            "official splits, of which a manifest holds one, of all rows": table.official
            is not None
            and not has_split,
            "boxes": table.boxes is not None,
            "domains": table.domains is not None,
            "which image a patch is of": table.image_labels is not None,
            "which labels are difficult": table.label_kind == "several"
            and (table.labels == 0).any(),
            "that labels are one or several an image": (table.label_kind == "several") != several,
            "classes without an image": table.label_kind != "number"
            and not set(table.class_names)
            <= {name for label in labels for name in label.split("|")},
            "spaces at the ends of names, and how their letters are composed": any(
                unicodedata.normalize("NFC", name.strip()) != name for name in names
            )
            or any(posixpath.normpath(path.strip()) != path for path in table.image_ids),
        }.items()
        if lost
    ]


def _write_array(file: IO[bytes], store: FeatureStore, layer: str) -> None:
    """Write a layer as numpy's own file, a block at a time."""
    whole = store[layer]
    described = {"descr": whole.dtype.str, "fortran_order": False, "shape": whole.shape}
    np.lib.format.write_array_header_1_0(file, described)
    for _, block in _blocks(store, [layer]):
        file.write(np.ascontiguousarray(block[layer]).data)


def _blocks(
    store: FeatureStore, layers: Sequence[str]
) -> Iterator[tuple[int, dict[str, FloatArray]]]:
    """Yield the first row and the features of each block of rows."""
    step = max(1, BLOCK_BYTES // sum(8 * prod(store[layer].shape[1:]) for layer in layers))
    for start in range(0, store.n_images, step):
        missing = ~store.done[start : start + step]
        block = {layer: store[layer][start : start + step] for layer in layers}
        for features in block.values():
            features[missing] = np.nan
        yield start, block


def _as_arrow(arrow: Any, values: npt.NDArray[Any]) -> Any:
    """Return an array of rows as a column; what a row has several of is a list of fixed size."""
    if values.dtype.kind in "UO":
        return arrow.array(values.tolist(), arrow.string())
    column = arrow.array(np.ascontiguousarray(values).reshape(-1))
    for size in values.shape[:0:-1]:
        column = arrow.FixedSizeListArray.from_arrays(column, size)
    return column
