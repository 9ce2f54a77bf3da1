"""Labels from where images lie: ``<class>/<image>``, with a side above it or without."""

import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

from decaf.datasets.image_tables import image_table, official_sides
from decaf.datasets.order import natural_sorted
from decaf.errors import DataError
from decaf.types import SIDES, ImageDataset, ImageSource, IntArray

LAYOUT = "lay the images out as <class>/<image>, or list them in a CSV file (path,label)"


_NEARLY_SIDES = {"training": "train", "trn": "train", "valid": "val", "validation": "val",
                 "dev": "val", "testing": "test", "tst": "test"}  # fmt: skip


def layout_advice(folders: Collection[str]) -> str:
    """Return what to do where images do not lie in class folders.

    Parameters
    ----------
    folders : collection of str
        Names of the outermost folders; split folders among them change the advice.
    """
    sides = {name: _NEARLY_SIDES.get(name.lower(), name.lower()) for name in folders}
    found = natural_sorted(name for name, side in sides.items() if side in SIDES)
    if "train" not in sides.values() or len(found) < 2:
        return LAYOUT
    others = natural_sorted(set(folders) - set(found))
    wrong = [f"{name} {sides[name]}" for name in found if name != sides[name]]
    advice = "for an official split the outermost folders are train, test and val alone"
    if wrong:
        advice += f": name {', '.join(wrong)}"
    if others:
        advice += f"{'; move' if wrong else ': move'} {', '.join(others[:5])} elsewhere"
    return f"{advice}; or list the images in a CSV file (path,label,split)"


def table_of_places(
    where: str,
    name: str,
    root: Path,
    image_ids: Sequence[str],
    places: Sequence[str],
    *,
    sizes_bytes: Sequence[int] | IntArray | None = None,
    source: ImageSource | None = None,
) -> ImageDataset:
    """Build a table of images whose folders are their classes.

    Parameters
    ----------
    where : str
        What to call the place in a message.
    name : str
        Name of the data set.
    root : pathlib.Path
        Folder that the ids are relative to.
    image_ids : sequence of str
        One row each, in this order.
    places : sequence of str
        Each image's folder: ``<class>``, or ``<side>/<class>`` if all have one of `SIDES`.
    sizes_bytes : sequence of int or numpy.ndarray, optional
        Sizes of the files; looked up below `root` if not given.
    source : ImageSource, optional
        What reads the images, if not files below `root`.

    Returns
    -------
    ImageDataset
        The table; its classes are in natural order, their names in Unicode's form NFC.

    Raises
    ------
    DataError
        An image lies elsewhere, or the table is none; see `image_table`.
    """
    parts = {place: place.split("/") if place else [] for place in set(places)}
    split = bool(parts) and {part[0] if part else "" for part in parts.values()} <= set(SIDES)
    depth = 2 if split else 1
    odd = {place for place, part in parts.items() if len(part) != depth}
    if odd:
        first = next(x for x, place in zip(image_ids, places, strict=True) if place in odd)
        tops = {part[0] for part in parts.values() if part}
        raise DataError(f"{where} holds the image {first!r}; {layout_advice(tops)}")
    names = {place: unicodedata.normalize("NFC", part[-1]) for place, part in parts.items()}
    class_names = natural_sorted(set(names.values()))
    ranks = {name: number for number, name in enumerate(class_names)}
    numbers = {place: ranks[name] for place, name in names.items()}
    sides = {place: part[0] for place, part in parts.items()}
    return image_table(
        name,
        root,
        image_ids,
        [numbers[place] for place in places],
        class_names,
        official=official_sides(where, [sides[place] for place in places]) if split else None,
        sizes_bytes=sizes_bytes,
        source=source,
    )
