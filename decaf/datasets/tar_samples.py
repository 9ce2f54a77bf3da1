"""What a tar archive holds: its images, where they lie in it, and what names their classes."""

import os
import posixpath
import sys
import tarfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from decaf.datasets.listing import SUFFIXES
from decaf.datasets.passed_over import UNREAD_SUFFIXES, PassedOver
from decaf.datasets.read import url_errors
from decaf.datasets.tar_reader import TarReader, link_target
from decaf.errors import DataError, DecafError

MAX_CLASS_BYTES = 1024
"""Longest name of a class, in a ``.cls`` entry or a manifest."""

_LINKS_FOLLOWED = 40  # as Linux does


class TarImage(NamedTuple):
    """An image in an archive.

    Attributes
    ----------
    entry : str
        Its name there.
    start, size : int
        Where its bytes are; -1 if it is a link to what the archive does not hold.
    place : str
        Its class, or its folder.
    """

    entry: str
    start: int
    size: int
    place: str


def images_in(fs: Any, path: str, over: PassedOver) -> Iterator[TarImage]:
    """Yield each image of an archive, in the order of its entries.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
        Where the archive is.
    path : str
        Its path.
    over : PassedOver
        Told of what is left out.

    Raises
    ------
    DataError
        The archive is damaged, or does not say which class an image has.
    """
    found = _scan(fs, path, over)
    names = found.images if not found.texts else _of_samples(path, found, over)
    for name in names:
        place = found.class_of(name) if found.texts else posixpath.dirname(name)
        if not place:
            raise DataError(
                f"{path}: the image {name!r} has no class; put it into a folder, or add an entry "
                f"{posixpath.splitext(name)[0] + '.cls'!r}"
            )
        start, size = found.files.get(found.resolved(name), (-1, -1))
        yield TarImage(name, start, size, sys.intern(place))


@dataclass
class _Contents:
    images: list[str] = field(default_factory=list)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)  # of .cls entries, without the ending
    links: dict[str, str] = field(default_factory=dict)

    def resolved(self, name: str) -> str:
        for _ in range(_LINKS_FOLLOWED):
            if name not in self.links:
                return name
            name = self.links[name]
        return ""

    def key(self, name: str) -> str:
        """Return which ``.cls`` is an image's: that of its whole name, else of its first word."""
        stem = posixpath.splitext(name)[0]
        if stem in self.texts:
            return stem
        folder, base = posixpath.split(name)
        return posixpath.join(folder, base.split(".", 1)[0])

    def class_of(self, name: str) -> str:
        return self.texts[self.key(name)]


def _scan(fs: Any, path: str, over: PassedOver) -> _Contents:
    found = _Contents()
    if os.path.lexists(path) and "file" in fs.protocol and not os.path.isfile(path):  # noqa: PTH113 - for some names a Path raises
        raise DataError(f"{path} is no regular file; give a tar archive")
    with url_errors(path), fs.open(path, "rb") as file, _tar_errors(path):
        tar = TarReader(file, path)
        for entry in tar:
            name = _entry_name(path, entry)
            if _is_left_out(path, entry, name, over):
                continue
            if entry.islnk() or entry.issym():
                found.links[name] = link_target(entry)
            elif name.lower().endswith(".cls"):
                _add_text(found, path, name, b"".join(tar.content(_short(path, entry))))
                continue
            else:
                found.files[name] = (entry.offset_data, entry.size)
            if name.lower().endswith(SUFFIXES):
                found.images.append(name)
    for name in found.links:
        if name.lower().endswith(".cls"):
            text = found.texts.get(found.resolved(name)[:-4])
            if text is None:
                raise DataError(
                    f"{path}: {name!r} is a link to what the archive does not hold; make it anew"
                )
            _add_text(found, path, name, text.encode())
    return found


def _entry_name(path: str, entry: tarfile.TarInfo) -> str:
    name = posixpath.normpath(entry.name.lstrip("/"))
    if name.split("/", 1)[0] == "..":
        raise DataError(
            f"{path}: the name {entry.name[:80]!r} leads out of the archive; make it anew"
        )
    return name


def _is_left_out(path: str, entry: tarfile.TarInfo, name: str, over: PassedOver) -> bool:
    is_image = name.lower().endswith(SUFFIXES)
    if any(part.startswith(".") for part in name.split("/")):
        if is_image:
            over.add("hidden images", name)
        return True
    if entry.isdir():
        return True
    if name.lower().endswith(UNREAD_SUFFIXES) and not is_image:
        over.add("images of kinds that are not read", name)
        return True
    if entry.issym() or entry.islnk():
        if not is_image and "." not in posixpath.basename(name):
            over.add("links to folders or files without an ending", name)
        return False
    if not entry.isreg():
        over.add("devices or pipes", name)
        return True
    if is_image and entry.issparse():
        raise DataError(f"{path}: the image {name!r} is stored as sparse; make the archive anew")
    return False


def _of_samples(path: str, found: _Contents, over: PassedOver) -> list[str]:
    """Return the images of samples: one of each ``.cls``, that of its very name if there is one."""
    samples: dict[str, list[str]] = {}
    for name in found.images:
        key = found.key(name)
        if key not in found.texts:
            raise DataError(f"{path}: the image {name!r} has no .cls as others have")
        samples.setdefault(key, []).append(name)
    left_out = set()
    for key, names in samples.items():
        own = [name for name in names if posixpath.splitext(name)[0] == key] or names
        if len(own) > 1:
            raise DataError(
                f"{path}: the sample {key!r} has {len(own)} images, "
                f"{' and '.join(map(repr, own[:2]))}; leave one in, or give each a .cls of its name"
            )
        for name in names:
            if name not in own:
                left_out.add(name)
                over.add("images beside the one of their sample, such as masks", name)
    return [name for name in found.images if name not in left_out]


def _short(path: str, entry: tarfile.TarInfo) -> tarfile.TarInfo:
    if entry.size > MAX_CLASS_BYTES:
        raise DataError(
            f"{path}: found {entry.size} bytes in {entry.name[:80]!r}, expected the name of a "
            f"class, of at most {MAX_CLASS_BYTES}"
        )
    return entry


def _add_text(found: _Contents, path: str, name: str, data: bytes) -> None:
    try:
        text = unicodedata.normalize("NFC", data.decode("utf-8-sig").strip())
    except UnicodeDecodeError:
        text = ""
    if not text or "/" in text or "\0" in text:
        raise DataError(f"{path}: found {data[:40]!r} in {name!r}, expected the name of a class")
    if name[:-4] in found.texts:
        raise DataError(f"{path}: the sample {name[:-4]!r} has two .cls entries; leave one out")
    found.texts[name[:-4]] = text


@contextmanager
def _tar_errors(path: str) -> Iterator[None]:
    """Turn whatever tarfile raises into one error; the file system's errors are left."""
    try:
        yield
    except (DecafError, OSError):
        raise
    except Exception as error:  # damaged headers raise nearly anything
        raise DataError(
            f"{path} is no whole tar archive: {str(error)[:200] or type(error).__name__}; fetch "
            "or make it anew, uncompressed"
        ) from error
