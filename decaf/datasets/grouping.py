"""What each image belongs to, by its path or by its content."""

import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from decaf.datasets.image_tables import names_of
from decaf.datasets.read import read_bytes
from decaf.errors import ConfigError, DataError
from decaf.escapes import visible
from decaf.types import ImageDataset

CONTENT = "content"
_LEVEL = re.compile(r"[+-]?\d{1,9}")
_AHEAD = 256  # images read at once


def group_by(dataset: ImageDataset, pattern: str) -> ImageDataset:
    """Return a table with the group of each image.

    Parameters
    ----------
    dataset : ImageDataset
        A table without groups.
    pattern : str
        A level of the folders in an image's path: ``1`` is the first, ``-1`` the last before the
        file; ``content``, which makes one group of identical files; or a regular expression, of
        which the first group, or else all that it matches, is the name.

    Raises
    ------
    ConfigError
        The table has groups, or the pattern is none.
    DataError
        An image does not match.
    """
    if dataset.groups is not None:
        raise ConfigError(
            f"asked to group {dataset.name} by {pattern!r}, which has groups already; leave that "
            "out, or take the column group out of its file"
        )
    if pattern == CONTENT:
        groups = _contents(dataset)
    elif _LEVEL.fullmatch(pattern):
        groups = _levels(dataset, int(pattern))
    else:
        groups = _matches(dataset, pattern)
    names = list(groups)
    unnamed = [row for row, name in enumerate(names) if not name]
    if unnamed:
        raise DataError(
            f"asked to group {dataset.name} by {pattern!r}, found {len(unnamed)} of {len(names)} "
            f"images that do not match, first {visible(dataset.image_ids[unnamed[0]])!r}; correct "
            "the pattern"
        )
    return replace(dataset, groups=names_of(dataset.name, names))


def _levels(dataset: ImageDataset, level: int) -> Iterator[str]:
    if level == 0:
        raise ConfigError("levels of folders count from 1, or from -1 backwards, found 0")
    for image_id in dataset.image_ids:
        folders = image_id.split("/")[:-1]
        found = -len(folders) <= level <= len(folders)
        yield folders[level - (level > 0)] if found else ""


def _matches(dataset: ImageDataset, pattern: str) -> Iterator[str]:
    try:
        regex = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"asked to group by {pattern!r}, which is no regular expression: {error}; give one, a "
            f"level of folders such as 1 or -1, or {CONTENT!r}"
        ) from error
    for image_id in dataset.image_ids:
        found = regex.search(image_id)
        yield (found[min(regex.groups, 1)] or "") if found else ""


def _contents(dataset: ImageDataset) -> Iterator[str]:
    """Yield the SHA-256 of each image; of one that cannot be read, its path."""

    def content(row: int) -> str:
        try:
            return hashlib.sha256(read_bytes(dataset, row)).hexdigest()
        except OSError:
            return dataset.image_ids[row]  # extraction reports it as a failure

    rows = range(len(dataset.image_ids))
    with ThreadPoolExecutor() as pool:
        for first in range(0, len(rows), _AHEAD):
            yield from pool.map(content, rows[first : first + _AHEAD])
