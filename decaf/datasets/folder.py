"""A folder of class folders as a data set: ``DIR/<class>/*.jpg``.

``DIR/{train,test}/<class>/*.jpg``, with ``val`` beside them or not, is an official split.
"""

from pathlib import Path

from decaf.datasets.files import SUFFIXES, folders, pictures
from decaf.datasets.passed_over import PassedOver
from decaf.datasets.places import LAYOUT, layout_advice, table_of_places
from decaf.datasets.table import names_of
from decaf.errors import DataError
from decaf.names import Names
from decaf.types import SIDES, ImageDataset


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
    advice = layout_advice(names)
    if not split and advice != LAYOUT and not any(pictures(folder / name) for name in names):
        raise DataError(f"folder {folder} holds the folders {', '.join(names[:8])}; {advice}")
    places = [
        f"{side}/{name}" if side else name
        for side in (names if split else [""])
        for name in _class_folders(folder / side)
    ]
    name = folder.resolve().name
    found, of, over = [], [], PassedOver()
    for place in places:
        files = _class_pictures(folder / place)
        if not files:
            over.add("class folders without images", place)
        found.append(names_of(name, [f"{place}/{file}" for file in files]))
        of += [place] * len(files)
    over.say(f"folder {folder}")
    if not of:
        raise DataError(
            f"folder {folder} holds no pictures ({', '.join(SUFFIXES)}) in its class folders; "
            "fill them"
        )
    return table_of_places(f"folder {folder}", name, folder, Names.joined(found), of)


def _check_outer(folder: Path, names: list[str]) -> None:
    loose = pictures(folder)
    if loose:
        raise DataError(
            f"folder {folder} holds {len(loose)} pictures outside of class folders, first "
            f"{loose[0]!r}; {LAYOUT}"
        )
    if not names:
        raise DataError(f"folder {folder} holds no class folders; {LAYOUT}")


def _class_folders(folder: Path) -> list[str]:
    _check_outer(folder, names := folders(folder))
    return names


def _class_pictures(folder: Path) -> list[str]:
    files = pictures(folder)
    deeper = [name for name in folders(folder) if pictures(folder / name)]
    if deeper:
        raise DataError(
            f"class folder {folder} holds a folder of pictures, {deeper[0]!r}; {LAYOUT}"
        )
    return files
