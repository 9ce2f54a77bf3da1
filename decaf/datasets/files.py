"""Which files of a folder are pictures."""

import os
from pathlib import Path

from decaf.datasets.order import natural_sorted

SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
"""File names that count as pictures, in either case; what is in them decides how they decode."""


def pictures(folder: Path) -> list[str]:
    """Return the names of the picture files directly in a folder, in natural order.

    Parameters
    ----------
    folder : pathlib.Path
        A folder; hidden files are passed over, links are followed.

    Returns
    -------
    list of str
        File names, links that lead nowhere included.
    """
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES)
            and not entry.name.startswith(".")
            and not entry.is_dir()
        ]
    return natural_sorted(names)


def folders(folder: Path) -> list[str]:
    """Return the names of the folders directly in a folder, in natural order.

    Parameters
    ----------
    folder : pathlib.Path
        A folder; hidden folders are passed over, links are followed.

    Returns
    -------
    list of str
        Folder names.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
    return natural_sorted(names)
