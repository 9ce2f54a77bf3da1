"""From a name or a path to an image table."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from decaf.choices import did_you_mean
from decaf.datasets import (
    birds,
    caltech101,
    caltech256,
    digits,
    grouping,
    holidays,
    mit67,
    office31,
    oxford5k,
    paris6k,
    sun397,
    ukbench,
    voc2007,
    voc2012,
    voc2012_actions,
)
from decaf.datasets.domains import load_domains
from decaf.datasets.folder import load_folder
from decaf.datasets.image_tables import take
from decaf.datasets.info import DatasetInfo
from decaf.datasets.manifest import load_manifest
from decaf.datasets.tars import holds_tars, load_tars
from decaf.datasets.urls import load_url
from decaf.datasets.zips import load_zip
from decaf.errors import ConfigError, DataError
from decaf.types import ImageDataset


class Adapter(Protocol):
    """A module that reads one named data set."""

    INFO: DatasetInfo

    def load(self, data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
        """Read the data set.

        Parameters
        ----------
        data_root : pathlib.Path
            Folder that holds the named data sets.
        allow_partial : bool
            Whether images may be missing; the table is marked.

        Raises
        ------
        DataError
            Images or lists are missing, or are not the published ones.
        """


ADAPTERS: Mapping[str, Adapter] = {
    "caltech101": caltech101,
    "caltech256": caltech256,
    "sun397": sun397,
    "birds": birds,
    "mit67": mit67,
    "voc2007": voc2007,
    "voc2012": voc2012,
    "voc2012-actions": voc2012_actions,
    "office31": office31,
    "holidays": holidays,
    "oxford5k": oxford5k,
    "paris6k": paris6k,
    "ukbench": ukbench,
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
    group_by: str | int | None = None,
    by_domain: bool = False,
) -> ImageDataset:
    """Read a named data set, images in folders or tar archives, here or at a URL, or a CSV file.

    Parameters
    ----------
    name_or_path : str, pathlib.Path or ImageDataset
        A table, of which only `limit` and `group_by` count; a name in `ADAPTERS`; else the path
        of a folder ``<class>/<image>`` (with ``train`` and ``test`` above the classes for an
        official split), of ``.tar`` archives (``{000..009}.tar``, or a folder of them) in
        webdataset's form, of a ``.zip`` of such a folder, or of a ``.csv`` file with the columns
        ``path,label[,split][,group]``. Folders and archives may be at any URL that fsspec reads.
    data_root : pathlib.Path
        Folder that holds the named data sets.
    allow_partial : bool
        Accept a named data set with fewer images than published; the table is marked. Refused
        for others, which are as they are.
    limit : int, optional
        Keep only so many images, evenly spaced; the table is marked as partial.
    group_by : str or int, optional
        What images of one group share, which no split parts: a level of the folders in their paths
        (``1`` the first, ``-1`` the last before the file), ``content`` for identical files, or a
        regular expression on the path, of which the first group, or else the whole match, counts.
    by_domain : bool
        A folder is ``<domain>/<class>/<image>``; a named data set or a table has domains.

    Returns
    -------
    ImageDataset
        The table.

    Raises
    ------
    ConfigError
        The name is unknown and no path, the limit is less than 1, or there are groups already.
    DataError
        The images or lists are missing or malformed, or an image has no group.
    """
    if allow_partial and str(name_or_path) not in ADAPTERS:
        raise ConfigError(
            "asked for allow_partial of a data set that is not a published one, and is as it is; "
            "leave it out"
        )
    table = (
        name_or_path
        if isinstance(name_or_path, ImageDataset)
        else _read(str(name_or_path), data_root, allow_partial=allow_partial, by_domain=by_domain)
    )
    if by_domain and table.domains is None:
        raise ConfigError(
            f"asked for domains, which {table.name} does not have; give office31, a folder "
            "<domain>/<class>/<image>, or leave them out"
        )
    table = table if limit is None else take(table, limit)
    return table if group_by is None else grouping.group_by(table, str(group_by))


def _read(spec: str, data_root: Path, *, allow_partial: bool, by_domain: bool) -> ImageDataset:
    require_known(spec)
    if spec in ADAPTERS:
        return ADAPTERS[spec].load(data_root, allow_partial=allow_partial)
    if _are_tars(spec):
        return load_tars(spec)
    if "://" in spec:
        return load_url(spec)
    if os.path.isdir(spec):  # noqa: PTH112 - for some names a Path raises
        return load_domains(Path(spec)) if by_domain else load_folder(Path(spec))
    if spec.lower().endswith(".zip"):
        return load_zip(Path(spec))
    return load_manifest(Path(spec))


def require_known(spec: str) -> None:
    """Refuse what is neither a data set's name nor a place of images; nothing is read.

    Raises
    ------
    ConfigError
        If it is unknown; the message names the data sets.
    DataError
        If it is packed; the message says how to unpack it.
    """
    path = Path(spec)
    is_file = os.path.isfile(path)  # noqa: PTH113 - for some names a Path raises
    readable = os.path.isdir(path) or (is_file and path.suffix.lower() in (".csv", ".zip"))  # noqa: PTH112 - for some names a Path raises
    if readable or spec in ADAPTERS or "://" in spec or _are_tars(spec):
        return
    if is_file and (packed := _packed(path)):
        raise DataError(f"asked for the data set {spec!r}, found {packed}")
    found = "a file that is no .csv" if os.path.lexists(path) else "no folder or file of that name"
    raise ConfigError(
        f"unknown data set {spec!r}: found {found}; {did_you_mean(spec, ADAPTERS)}choose one of: "
        f"{', '.join(ADAPTERS)}, or give a folder of class folders, .tar archives, "
        "a zip of such a folder, or a CSV file (path,label)"
    )


def _are_tars(spec: str) -> bool:
    return spec.lower().endswith(".tar") or holds_tars(spec)


def _packed(file: Path) -> str:
    """Say what to do with a packed file; nothing of another."""
    name, start = file.name.lower(), b""
    with suppress(OSError), file.open("rb") as stream:
        start = stream.read(6)
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        return f"a zip archive of another name; rename it to {file.stem}.zip"
    if start.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ")) and ".t" in name:
        return (
            "a compressed archive, of which no image can be read by itself; unpack it, and give "
            "the folder or the .tar"
        )
    return ""
