"""A folder of class folders at a URL: ``s3://``, ``gs://`` and what else fsspec reads."""

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from decaf.datasets.listing import SUFFIXES
from decaf.datasets.order import natural_sorted
from decaf.datasets.passed_over import UNREAD_SUFFIXES, PassedOver
from decaf.datasets.places import LAYOUT, table_of_places
from decaf.datasets.read import open_url, read_part, url_errors
from decaf.datasets.tar_reader import MAX_PATH_BYTES
from decaf.errors import DataError
from decaf.types import ImageDataset


@dataclass(frozen=True)
class UrlFolder:
    """Images that are files below a folder of a file system.

    Attributes
    ----------
    fs : fsspec.AbstractFileSystem
        The file system.
    root : str
        The folder in it.
    """

    fs: Any
    root: str

    def read(self, image_id: str) -> bytes:
        """Return the bytes of an image."""
        return read_part(self.fs, f"{self.root}/{image_id}")

    def stamp(self, image_id: str) -> str:
        """Return what the file system says of an image's file, its size and time among it."""
        return str(self.fs.ukey(f"{self.root}/{image_id}"))


def load_url(url: str) -> ImageDataset:
    """Read a folder of class folders at a URL, as `load_folder` reads a local one.

    Parameters
    ----------
    url : str
        The folder; its name is the data set's.

    Returns
    -------
    ImageDataset
        The table that the same folder would give on a disk of this machine.

    Raises
    ------
    ConfigError
        The kind of URL is unknown, or its file system is not installed.
    DataError
        The folder cannot be read, or its layout is another one.
    """
    fs, root = open_url(url)
    sizes = image_sizes(fs, root, url)
    ids = natural_sorted(sizes)
    if not ids:
        raise DataError(f"{url} holds no images; {LAYOUT}")
    return table_of_places(
        url,
        posixpath.basename(root),
        Path(root),
        ids,
        [posixpath.dirname(image_id) for image_id in ids],
        sizes_bytes=[sizes[image_id] for image_id in ids],
        source=UrlFolder(fs, root),
    )


def image_sizes(
    fs: Any, root: str, url: str, suffixes: tuple[str, ...] = SUFFIXES
) -> dict[str, int]:
    """Return the size of each image below a folder, by its relative path; hidden ones left out.

    Raises
    ------
    DataError
        The folder cannot be listed.
    """
    with url_errors(url):
        found = fs.find(root, detail=True)
    sizes: dict[str, int] = {}
    over = PassedOver()
    for path, entry in found.items():
        name = path[len(root) + 1 :]
        is_image = path.lower().endswith(suffixes)
        if not is_image and not path.lower().endswith(UNREAD_SUFFIXES):
            continue
        if not path.startswith(f"{root}/"):
            over.add("images outside of the folder", path)
        elif any(part.startswith(".") for part in name.split("/")):
            over.add("hidden images", name)
        elif not is_image:
            over.add("images of kinds that are not read", name)
        elif len(name.encode(errors="replace")) > MAX_PATH_BYTES:
            raise DataError(
                f"{url}: the name {name[:40]!r}... is longer than {MAX_PATH_BYTES} bytes; rename it"
            )
        else:
            sizes[name] = int(entry.get("size") or 0)
    over.say(url)
    return sizes
