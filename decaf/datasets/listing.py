"""Which files of a folder are images."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from decaf.datasets.order import natural_sorted
from decaf.datasets.passed_over import NO_IMAGES, PassedOver
from decaf.datasets.read import open_file
from decaf.errors import DataError

SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".gif", ".bmp",
    ".dib", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm",
    ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpf", ".jpx", ".jxl",
)  # fmt: skip
"""File names that count as images, in either case; what is in them decides how they decode.
Those of the last line fail, unless they hold another kind than they say, or are HEIC and its
extra is here."""

_BEGIN = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF.{4}WEBP|BM.{4}\0{4}|P[1-6]\s+[0-9#]", re.DOTALL
)
_TIFF = (b"II*\0", b"MM\0*")  # raw files of cameras begin so too, with endings of their own


@dataclass
class Listing:
    """What lies directly in a folder, hidden files left out, each in natural order.

    Attributes
    ----------
    images, folders : list of str
        Names of the image files, links that lead nowhere included, and of the folders.
    others : list of str
        Names of what is passed over: other files, and links to a folder that this one lies in.
    """

    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def listing(folder: Path) -> Listing:
    """Return what lies in a folder; links are followed.

    Returns
    -------
    Listing
        Images are known by their endings; files of endings that say nothing by their content.

    Raises
    ------
    DataError
        The folder cannot be listed.
    """
    found = Listing()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith("."):
                    _kind(folder, entry, found).append(entry.name)
    except OSError as error:
        raise DataError(
            f"asked to list the folder {escaped(str(folder))}, found: {error.strerror or error}; "
            "give the right to read it, or leave it out"
        ) from error
    return Listing(*map(natural_sorted, (found.images, found.folders, found.others)))


def _kind(folder: Path, entry: "os.DirEntry[str]", found: Listing) -> list[str]:
    try:
        is_folder = entry.is_dir()
    except OSError:  # a link to itself, or into a closed folder
        is_folder = False
    if is_folder:
        up = entry.is_symlink() and _lies_in(folder, entry.path)
        return found.others if up else found.folders
    is_image = entry.name.lower().endswith(SUFFIXES) or _looks_like_image(Path(entry.path))
    return found.images if is_image else found.others


def _lies_in(folder: Path, other: str) -> bool:
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(other))


def _looks_like_image(path: Path) -> bool:
    try:
        with open_file(path) as file:
            head = file.read(16)
    except OSError:
        return False
    return bool(_BEGIN.match(head)) or (not path.suffix and head.startswith(_TIFF))


def image_names(folder: Path) -> list[str]:
    """Return the names of the image files directly in a folder; see `listing`."""
    return listing(folder).images


def folders(folder: Path) -> list[str]:
    """Return the names of the folders directly in a folder; see `listing`."""
    return listing(folder).folders


def images_under(top: Path) -> Iterator[str]:
    """Yield the paths of the images below a folder, at any depth; no folder is entered twice.

    Files and links that are passed over are said in a line.

    Raises
    ------
    DataError
        A folder cannot be listed.
    """
    over = PassedOver()
    yield from _under(top, top, set(), over)
    over.say(str(top))


def _under(
    folder: Path, top: Path, entered: set[tuple[int, int]], over: PassedOver
) -> Iterator[str]:
    status = folder.stat()
    entered.add((status.st_dev, status.st_ino))
    found = listing(folder)
    over.add(NO_IMAGES, *(f"{folder}/{name}" for name in found.others))
    yield from (str(folder / name) for name in found.images)
    for inner in (folder / name for name in found.folders):
        status = inner.stat()
        # what lies below the top is listed where it lies
        again = inner.is_symlink() and _lies_in(inner, str(top))
        if again or (status.st_dev, status.st_ino) in entered:
            over.add(NO_IMAGES, str(inner))
        else:
            yield from _under(inner, top, entered, over)


def escaped(name: str) -> str:
    """Return a name of the file system as text that UTF-8 can hold, stray bytes escaped."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return os.fsencode(name).decode("utf-8", "backslashreplace")
    return name
