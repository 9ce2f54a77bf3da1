"""A folder of class folders as a data set: ``DIR/<class>/*.jpg``.

``DIR/{train,test}/<class>/*.jpg``, with ``val`` beside them or not, is an official split.
"""

from pathlib import Path

from decaf.datasets.files import SUFFIXES, folders, pictures
from decaf.datasets.table import image_table, natural_key, official_sides
from decaf.errors import DataError
from decaf.types import SIDES, ImageDataset

_LAYOUT = "lay the pictures out as <class>/<picture>, or list them in a CSV file (path,label)"


def load_folder(folder: Path) -> ImageDataset:
    """Read a folder of class folders.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; its name is the data set's.

    Returns
    -------
    ImageDataset
        One row a picture in natural order; classes are the folders' names in natural order.

    Raises
    ------
    DataError
        The layout is another one; the message says what was found.
    """
    names = folders(folder)
    split = bool(names) and set(names) <= set(SIDES)
    _check_outer(folder, names)
    found = {
        f"{side}/{name}" if side else name: name
        for side in (names if split else [""])
        for name in _class_folders(folder / side)
    }
    class_names = sorted(set(found.values()), key=natural_key)
    numbers = {name: number for number, name in enumerate(class_names)}
    rows = [(f"{place}/{file}", name) for place, name in found.items()
            for file in _class_pictures(folder / place)]  # fmt: skip
    sides = [image_id.split("/", 1)[0] for image_id, _ in rows]
    return image_table(
        folder.resolve().name,
        folder,
        [image_id for image_id, _ in rows],
        [numbers[name] for _, name in rows],
        class_names,
        official=official_sides(f"folder {folder}", sides) if split else None,
    )


def _check_outer(folder: Path, names: list[str]) -> None:
    loose = pictures(folder)
    if loose:
        raise DataError(
            f"folder {folder} holds {len(loose)} pictures outside of class folders, first "
            f"{loose[0]!r}; {_LAYOUT}"
        )
    if not names:
        raise DataError(f"folder {folder} holds no class folders; {_LAYOUT}")


def _class_folders(folder: Path) -> list[str]:
    _check_outer(folder, names := folders(folder))
    return names


def _class_pictures(folder: Path) -> list[str]:
    files = pictures(folder)
    deeper = [name for name in folders(folder) if pictures(folder / name)]
    if deeper:
        raise DataError(
            f"class folder {folder} holds a folder of pictures, {deeper[0]!r}; {_LAYOUT}"
        )
    if not files:
        raise DataError(
            f"class folder {folder} holds no pictures ({', '.join(SUFFIXES)}); fill it or remove it"
        )
    return files
