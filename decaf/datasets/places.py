"""Labels from where pictures lie: ``<class>/<picture>``, with a side above it or without."""

from collections.abc import Sequence
from pathlib import Path

from decaf.datasets.order import natural_sorted
from decaf.datasets.table import image_table, official_sides
from decaf.errors import DataError
from decaf.types import SIDES, ImageDataset, IntArray, PictureSource

LAYOUT = "lay the pictures out as <class>/<picture>, or list them in a CSV file (path,label)"


def table_of_places(
    where: str,
    name: str,
    root: Path,
    image_ids: Sequence[str],
    places: Sequence[str],
    *,
    sizes_bytes: Sequence[int] | IntArray | None = None,
    source: PictureSource | None = None,
) -> ImageDataset:
    """Build a table of pictures whose folders are their classes.

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
        Each picture's folder: ``<class>``, or ``<side>/<class>`` if all have one of `SIDES`.
    sizes_bytes : sequence of int or numpy.ndarray, optional
        Sizes of the files; looked up below `root` if not given.
    source : PictureSource, optional
        What reads the pictures, if not files below `root`.

    Returns
    -------
    ImageDataset
        The table; its classes are in natural order.

    Raises
    ------
    DataError
        A picture lies elsewhere, or the table is none; see `image_table`.
    """
    parts = {place: place.split("/") if place else [] for place in set(places)}
    split = bool(parts) and {part[0] if part else "" for part in parts.values()} <= set(SIDES)
    depth = 2 if split else 1
    odd = {place for place, part in parts.items() if len(part) != depth}
    if odd:
        first = next(x for x, place in zip(image_ids, places, strict=True) if place in odd)
        raise DataError(f"{where} holds the picture {first!r}; {LAYOUT}")
    class_names = natural_sorted({part[-1] for part in parts.values()})
    numbers = {place: class_names.index(part[-1]) for place, part in parts.items()}
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
