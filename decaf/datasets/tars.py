"""Images in tar archives, in the form of webdataset: entries of one name are one sample.

An archive's entries are found once; each image is then read where it lies, from any thread or
machine. The class is what the sample's ``.cls`` entry says, else the image's folder. Hidden
entries, and images beside the one of their sample, are passed over and counted.

References
----------
https://github.com/webdataset/webdataset
"""

import errno
import os
import posixpath
import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from decaf.datasets.image_tables import names_of
from decaf.datasets.listing import SUFFIXES
from decaf.datasets.order import natural_sorted
from decaf.datasets.passed_over import PassedOver
from decaf.datasets.places import table_of_places
from decaf.datasets.read import open_url, read_part, url_errors
from decaf.datasets.tar_samples import images_in
from decaf.errors import ConfigError, DataError
from decaf.names import Names
from decaf.types import ImageDataset, IntArray

_RANGE = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
_MOST_DIGITS = 6  # of the numbers in a range


@dataclass(frozen=True, eq=False)
class TarEntries:
    """Images that are entries of tar archives.

    Attributes
    ----------
    fs : fsspec.AbstractFileSystem
        Where the archives are.
    archives : tuple of str
        Their paths.
    image_ids : Names
        Of the images, in the order of their bytes.
    places : numpy.ndarray
        ``(n_images, 3)`` int64: archive, first byte and size of each.
    """

    fs: Any
    archives: tuple[str, ...]
    image_ids: Names
    places: IntArray

    def read(self, image_id: str) -> bytes:
        """Return the bytes of an image; an OSError if there is none of that id."""
        archive, start, size = self._place(image_id)
        return read_part(self.fs, self.archives[archive], start, start + size)

    def stamp(self, image_id: str) -> str:
        """Return what the file system says of an image's archive, and its place there."""
        archive, start, size = self._place(image_id)
        if archive not in self._keys:
            self._keys[archive] = str(self.fs.ukey(self.archives[archive]))
        return f"{self._keys[archive]} {start} {size}"

    @cached_property
    def _keys(self) -> dict[int, str]:
        """What was found of each archive."""
        return {}

    def _place(self, image_id: str) -> list[int]:
        """Return archive, first byte and size."""
        row = bisect_left(self.image_ids, image_id)  # characters sort as their UTF-8 bytes
        if self.image_ids[row : row + 1] != (image_id,):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), image_id)
        place: list[int] = self.places[row].tolist()
        if place[2] < 0:
            why = "a link to what the archive does not hold"
            raise FileNotFoundError(errno.ENOENT, why, image_id)
        return place


def load_tars(spec: str) -> ImageDataset:
    """Read tar archives of images.

    Parameters
    ----------
    spec : str
        Path or URL of one ``.tar``, of several as ``folder/{000..009}.tar``, or of a folder of
        them. The data set is named after the folder, or the one archive.

    Returns
    -------
    ImageDataset
        The images in the order of the archives; ids are ``<archive>/<entry>``.

    Raises
    ------
    ConfigError
        The kind of URL is unknown, or a range is empty.
    DataError
        An archive is missing, compressed, damaged or cut short, or an image has no class.
    """
    urls = expanded(spec)
    fs, first = open_url(urls[0])
    if first.lower().endswith(".tar"):
        archives = [first, *(open_url(url)[1] for url in urls[1:])]
        root = posixpath.commonpath([posixpath.dirname(path) for path in archives])
    else:
        root = first
        archives = [f"{root}/{name}" for name in tars_in(fs, root, spec)]
    name = posixpath.basename(root)
    if len(archives) == 1:
        name = posixpath.basename(archives[0]).rsplit(".", 1)[0]
    found, places, classes, over = [], [], [], PassedOver()
    for number, path in enumerate(archives):
        images = list(images_in(fs, path, over))
        if len({image.entry for image in images}) < len(images):
            double, _ = Counter(image.entry for image in images).most_common(1)[0]
            raise DataError(f"{path} holds {double!r} twice; leave one out")
        prefix = posixpath.relpath(path, root)
        found.append(names_of(name, [f"{prefix}/{image.entry}" for image in images]))
        places += [(number, image.start, image.size) for image in images]
        classes += [image.place for image in images]
    over.say(spec)
    if not places:
        raise DataError(f"{spec}: found no images ({', '.join(SUFFIXES)}) in its archives")
    image_ids, table = Names.joined(found), np.array(places, np.int64)
    order = image_ids.order()
    source = TarEntries(fs, tuple(archives), image_ids.take(order), table[order])
    return table_of_places(
        spec,
        name,
        Path(root),
        image_ids,
        classes,
        sizes_bytes=table[:, 2],
        source=source,
    )


def expanded(spec: str) -> list[str]:
    """Return the names that ranges stand for: ``{08..10}`` for 08, 09 and 10.

    Raises
    ------
    ConfigError
        A range is empty.
    """
    texts = _RANGE.split(spec)
    ranges = []
    for first, last in zip(texts[1::3], texts[2::3], strict=True):
        if max(len(first), len(last)) > _MOST_DIGITS:
            raise ConfigError(f"asked for {spec[:80]!r}, found a range of too many archives")
        numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
        if not numbers:
            raise ConfigError(
                f"asked for {spec!r}, found an empty range; give the lower number first"
            )
        ranges.append(numbers)
    return [
        "".join(piece for pair in zip(texts[::3], (*chosen, ""), strict=True) for piece in pair)
        for chosen in product(*ranges)
    ]


def holds_tars(spec: str) -> bool:
    """Return whether a folder, local or at a URL, has tar archives in it and no folders.

    Raises
    ------
    ConfigError
        The kind of URL is unknown, or its file system is not installed.
    DataError
        The folder cannot be listed.
    """
    if "://" not in spec and not os.path.isdir(spec):  # noqa: PTH112 - a Path raises for some names
        return False
    fs, root = open_url(spec)
    with url_errors(spec):
        kinds = {entry["type"] for entry in fs.ls(root, detail=True)}
    return "directory" not in kinds and bool(tars_in(fs, root, spec))


def tars_in(fs: Any, root: str, spec: str) -> list[str]:
    """Return the names of the archives directly in a folder, in natural order.

    Raises
    ------
    DataError
        The folder cannot be listed.
    """
    with url_errors(spec):
        names = [posixpath.basename(path.rstrip("/")) for path in fs.ls(root, detail=False)]
    tars = [name for name in names if name.lower().endswith(".tar") and name[0] != "."]
    return natural_sorted(tars)
