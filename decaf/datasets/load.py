"""From a name or a path to an image table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from decaf.datasets import (
    birds,
    caltech101,
    caltech256,
    digits,
    mit67,
    sun397,
    voc2007,
    voc2012,
    voc2012_actions,
)
from decaf.datasets.folder import load_folder
from decaf.datasets.info import DatasetInfo
from decaf.datasets.manifest import load_manifest
from decaf.datasets.table import take
from decaf.datasets.tars import holds_tars, load_tars
from decaf.datasets.urls import load_url
from decaf.errors import ConfigError
from decaf.types import ImageDataset


class Adapter(Protocol):
    """A module that reads one named data set."""

    INFO: DatasetInfo

    def load(self, data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
        """Read the data set under the data root."""


ADAPTERS: Mapping[str, Adapter] = {
    "caltech101": caltech101,
    "caltech256": caltech256,
    "sun397": sun397,
    "birds": birds,
    "mit67": mit67,
    "voc2007": voc2007,
    "voc2012": voc2012,
    "voc2012-actions": voc2012_actions,
    "digits": digits,
}
"""Every named data set; a new one is a module and a line here."""


def dataset_infos() -> tuple[DatasetInfo, ...]:
    """Return the published facts of every named data set.

    Returns
    -------
    tuple of DatasetInfo
        In the order of `ADAPTERS`.
    """
    return tuple(adapter.INFO for adapter in ADAPTERS.values())


def load_dataset(
    name_or_path: str | Path | ImageDataset,
    data_root: Path = Path("data"),
    *,
    allow_partial: bool = False,
    limit: int | None = None,
) -> ImageDataset:
    """Read a named data set, pictures in folders or tar archives, here or at a URL, or a CSV file.

    Parameters
    ----------
    name_or_path : str, pathlib.Path or ImageDataset
        A table, which is returned as it is; a name in `ADAPTERS`; else the path of a folder
        ``<class>/<picture>`` (with ``train`` and ``test`` above the classes for an official
        split), of ``.tar`` archives (``{000..009}.tar``, or a folder of them) in webdataset's
        form, or of a ``.csv`` file with the columns ``path,label[,split]``. Folders and archives
        may be at any URL that fsspec reads.
    data_root : pathlib.Path
        Folder that holds the named data sets.
    allow_partial : bool
        Accept a named data set with fewer pictures than published; the table is marked.
    limit : int, optional
        Keep only so many pictures, evenly spaced; the table is marked as partial.

    Returns
    -------
    ImageDataset
        The table.

    Raises
    ------
    ConfigError
        The name is unknown and no path, or the limit is less than 1.
    DataError
        The pictures or lists are missing or malformed.
    """
    if isinstance(name_or_path, ImageDataset):
        return name_or_path
    path, spec = Path(name_or_path), str(name_or_path)
    require_known(spec)
    if spec in ADAPTERS:
        table = ADAPTERS[spec].load(data_root, allow_partial=allow_partial)
    elif _are_tars(spec):
        table = load_tars(spec)
    elif "://" in spec:
        table = load_url(spec)
    elif path.is_dir():
        table = load_folder(path)
    else:
        table = load_manifest(path)
    return table if limit is None else take(table, limit)


def require_known(spec: str) -> None:
    """Refuse what is neither a data set's name nor a place of pictures; nothing is read.

    Raises
    ------
    ConfigError
        If it is unknown; the message names the data sets.
    """
    path = Path(spec)
    readable = path.is_dir() or (path.is_file() and path.suffix.lower() == ".csv")
    if readable or spec in ADAPTERS or "://" in spec or _are_tars(spec):
        return
    found = "a file that is no .csv" if path.exists() else "no folder or file of that name"
    raise ConfigError(
        f"unknown data set {spec!r}: found {found}; choose one of: {', '.join(ADAPTERS)}, "
        "or give a folder of class folders, .tar archives or a CSV file (path,label)"
    )


def _are_tars(spec: str) -> bool:
    return spec.lower().endswith(".tar") or holds_tars(spec)
