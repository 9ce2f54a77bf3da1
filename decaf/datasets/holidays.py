"""INRIA Holidays: 1 491 images of 500 places and things; the first of each is a query.

References
----------
Jegou, Douze and Schmid, Hamming embedding and weak geometric consistency, ECCV 2008.
"""

from pathlib import Path

from decaf.datasets.image_tables import image_table, official_sides
from decaf.datasets.info import Archive, DatasetInfo
from decaf.errors import DataError
from decaf.types import ImageDataset

_SOURCE = "ftp://ftp.inrialpes.fr/pub/lear/douze/data/"

INFO = DatasetInfo(
    name="holidays",
    tree="holidays/jpg",
    n_images=1491,
    n_classes=500,
    licence="research use",
    home="https://lear.inrialpes.fr/~jegou/data.php",
    archives=tuple(
        Archive(f"jpg{part}.tar.gz", (f"{_SOURCE}jpg{part}.tar.gz",)) for part in (1, 2)
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read Holidays.

    Returns
    -------
    ImageDataset
        A class a group; the queries, whose names end in 00, are the official rows to test.

    Raises
    ------
    DataError
        A name is not one of its six digits.
    """
    tree = INFO.require(data_root)
    ids = sorted(path.name for path in tree.glob("*.jpg"))
    wrong = [name for name in ids if not (name[:-4].isdecimal() and len(name) == 10)]
    if wrong:
        raise DataError(f"{tree} holds {wrong[0]}, which is no image of Holidays; take it away")
    missing = [f"{INFO.n_images - len(ids)} of them"] if len(ids) < INFO.n_images else []
    partial = INFO.check_complete(len(ids), missing, tree, allow_partial=allow_partial)
    groups = sorted({name[:4] for name in ids})
    numbers = {group: number for number, group in enumerate(groups)}
    sides = ["test" if name[4:6] == "00" else "train" for name in ids]
    return image_table(
        INFO.name,
        tree,
        ids,
        [numbers[name[:4]] for name in ids],
        groups,
        official=official_sides(INFO.name, sides),
        partial=partial,
    )
