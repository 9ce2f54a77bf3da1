"""A zip archive of class folders as a data set, read where it lies; nothing is unpacked."""

import posixpath
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from decaf.datasets.listing import SUFFIXES
from decaf.datasets.order import natural_sorted
from decaf.datasets.passed_over import NO_IMAGES, PassedOver
from decaf.datasets.places import LAYOUT, table_of_places
from decaf.datasets.read import MAX_FILE_BYTES
from decaf.errors import DataError
from decaf.types import SIDES, ImageDataset

_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError),
    RuntimeError,  # of a password
)
_ENCRYPTED = 1


@dataclass(frozen=True)
class ZipSource:
    """Images that are entries of a zip archive.

    Attributes
    ----------
    path : pathlib.Path
        The archive.
    top : str
        The folder in it that ids are relative to, with a slash at its end, or nothing.
    """

    path: Path
    top: str

    def read(self, image_id: str) -> bytes:
        """Return the bytes of an image; their checksum is checked."""
        try:
            entry = self._open.getinfo(f"{self.top}{image_id}")
            with self._open.open(entry) as file:
                return file.read(MAX_FILE_BYTES + 1)
        except _UNREADABLE as error:
            raise OSError(f"{self.path}: {error}") from error

    def stamp(self, image_id: str) -> str:
        """Return what the archive's list says of an image: its checksum and size."""
        try:
            entry = self._open.getinfo(f"{self.top}{image_id}")
        except _UNREADABLE as error:
            raise OSError(f"{self.path}: {error}") from error
        return f"{entry.CRC} {entry.file_size}"

    @cached_property
    def _open(self) -> zipfile.ZipFile:  # which many threads may read
        return zipfile.ZipFile(self.path)

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "top": self.top}


def load_zip(path: Path) -> ImageDataset:
    """Read a zip archive of ``<class>/<image>``, as `load_folder` reads a folder.

    Parameters
    ----------
    path : pathlib.Path
        The archive; its name without suffix is the data set's. One folder that holds everything
        else is passed through; ``train`` and ``test`` above the classes are an official split.

    Returns
    -------
    ImageDataset
        The table that the unpacked folder would give.

    Raises
    ------
    DataError
        If it is damaged or encrypted, or its layout is another one.
    """
    with _said(path), zipfile.ZipFile(path) as archive:
        sizes = _images(path, archive.infolist())
    if not sizes:
        raise DataError(f"{path} holds no images; {LAYOUT}")
    top = _top(list(sizes))
    ids = natural_sorted(name.removeprefix(top) for name in sizes)
    return table_of_places(
        str(path),
        path.stem,
        path,
        ids,
        [posixpath.dirname(image_id) for image_id in ids],
        sizes_bytes=[sizes[f"{top}{image_id}"] for image_id in ids],
        source=ZipSource(path.absolute(), top),
    )


def _images(path: Path, entries: list[zipfile.ZipInfo]) -> dict[str, int]:
    """Return the size of each image, by its name; what is passed over is said."""
    sizes: dict[str, int] = {}
    over = PassedOver()
    for entry in entries:
        parts = entry.filename.split("/")
        if entry.is_dir() or "__MACOSX" in parts or any(p.startswith(".") for p in parts):
            continue
        if stat.S_ISLNK(entry.external_attr >> 16):
            over.add("links", entry.filename)
        elif not entry.filename.lower().endswith(SUFFIXES):
            over.add(NO_IMAGES, entry.filename)
        elif entry.flag_bits & _ENCRYPTED:
            raise DataError(f"{path} is encrypted; unpack it with its password, give the folder")
        else:
            sizes[entry.filename] = entry.file_size
    over.say(str(path))
    return sizes


def _top(names: list[str]) -> str:
    """Return the folder that holds every class folder, as where a folder itself was packed."""
    first = names[0].split("/")[0]
    inside = all(name.startswith(f"{first}/") and name.count("/") > 1 for name in names)
    return f"{first}/" if inside and first not in SIDES else ""


@contextmanager
def _said(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, *_UNREADABLE) as error:
        raise DataError(
            f"asked for the images in {path}, found no sound zip archive ({error}); get it again"
        ) from error
