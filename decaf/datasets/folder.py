"""A folder of class folders as a data set: ``DIR/<class>/*.jpg``.

``DIR/{train,test}/<class>/*.jpg``, with ``val`` beside them or not, is an official split.
"""

from pathlib import Path

from decaf.datasets.image_tables import names_of
from decaf.datasets.listing import (
    SUFFIXES,
    Listing,
    escaped,
    image_names,
    images_under,
    listing,
)
from decaf.datasets.passed_over import NO_IMAGES, PassedOver
from decaf.datasets.places import LAYOUT, layout_advice, table_of_places
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
        One row an image in natural order; classes are the folders' names in natural order.

    Raises
    ------
    DataError
        The layout is another one; the message says what was found.
    """
    outer = listing(folder)
    split = bool(outer.folders) and set(outer.folders) <= set(SIDES)
    advice = layout_advice(outer.folders)
    if not split and advice != LAYOUT and not any(image_names(folder / x) for x in outer.folders):
        raise DataError(
            f"folder {folder} holds the folders {', '.join(outer.folders[:8])}; {advice}"
        )
    sides = {f"{side}/": listing(folder / side) for side in outer.folders} if split else {"": outer}
    name = folder.resolve().name
    found, of, over = [], [], PassedOver()
    for side, listed in ({"": outer} | sides).items():
        _check_outer(folder / side, listed)
        over.add(NO_IMAGES, *(f"{side}{other}" for other in listed.others))
    for place in (f"{side}{inner}" for side, listed in sides.items() for inner in listed.folders):
        files = _class_files(folder / place)
        if not files.images:
            over.add("class folders without images", place)
        over.add(NO_IMAGES, *(f"{place}/{other}" for other in files.others))
        found.append(names_of(name, [f"{place}/{escaped(file)}" for file in files.images]))
        of += [place] * len(files.images)
    over.say(f"folder {folder}")
    if not of:
        raise DataError(
            f"folder {folder} holds no images ({', '.join(SUFFIXES)}) in its class folders; "
            "fill them"
        )
    return table_of_places(f"folder {folder}", name, folder, Names.joined(found), of)


def _check_outer(folder: Path, found: Listing) -> None:
    if found.images:
        raise DataError(
            f"folder {folder} holds {len(found.images)} images outside of class folders, first "
            f"{found.images[0]!r}; {LAYOUT}"
        )
    if not found.folders:
        raise DataError(f"folder {folder} holds no class folders; {LAYOUT}")


def _class_files(folder: Path) -> Listing:
    found = listing(folder)
    for inner in found.folders:
        if next(images_under(folder / inner), None) is not None:
            raise DataError(f"class folder {folder} holds a folder of images, {inner!r}; {LAYOUT}")
    return found
