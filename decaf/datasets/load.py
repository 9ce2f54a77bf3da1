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
    name_or_path: str | Path,
    data_root: Path = Path("data"),
    *,
    allow_partial: bool = False,
    limit: int | None = None,
) -> ImageDataset:
    """Read a named data set, a folder of class folders, or a CSV file.

    Parameters
    ----------
    name_or_path : str or pathlib.Path
        A name in `ADAPTERS`; else the path of a folder ``<class>/<picture>`` (with ``train`` and
        ``test`` above the classes for an official split), or of a ``.csv`` file with the columns
        ``path,label[,split]``.
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
    path = Path(name_or_path)
    if str(name_or_path) in ADAPTERS:
        table = ADAPTERS[str(name_or_path)].load(data_root, allow_partial=allow_partial)
    elif path.is_dir():
        table = load_folder(path)
    elif path.is_file() and path.suffix.lower() == ".csv":
        table = load_manifest(path)
    else:
        found = "a file that is no .csv" if path.exists() else "no folder or file of that name"
        raise ConfigError(
            f"unknown data set {str(name_or_path)!r}: found {found}; choose one of: "
            f"{', '.join(ADAPTERS)}, or give a folder of class folders or a CSV file (path,label)"
        )
    return table if limit is None else take(table, limit)
