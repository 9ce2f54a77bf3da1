"""Oxford's ground truth of landmarks: 55 queries, and for each images good, ok and junk.

References
----------
Philbin, Chum, Isard, Sivic and Zisserman, CVPR 2007 and CVPR 2008.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from decaf.datasets.image_tables import image_table, official_sides
from decaf.datasets.info import DatasetInfo
from decaf.datasets.lists import read_lines
from decaf.errors import DataError
from decaf.types import ImageDataset

_QUERY = "_query.txt"


def load_landmarks(info: DatasetInfo, data_root: Path, *, allow_partial: bool) -> ImageDataset:
    """Read a data set of landmarks.

    Parameters
    ----------
    info : DatasetInfo
        Which one; the ground truth is the folder ``gt`` beside that of the images.
    data_root : pathlib.Path
        Folder that holds the named data sets.
    allow_partial : bool
        Whether images may be missing.

    Returns
    -------
    ImageDataset
        The images to search (train), labelled 1 for each landmark of which they are good or ok, 0
        where they are junk, else -1; then the queries (test), each with its box. Boxes of the
        others are the whole images.

    Raises
    ------
    DataError
        Images or lists are missing or malformed.
    """
    tree = info.require(data_root)
    files = {path.stem: path for path in sorted(tree.rglob("*.jpg"))}
    lists = tree.parent / "gt"
    queries = sorted(lists.glob(f"*{_QUERY}"))
    if not queries:
        raise DataError(f"no ground truth in {lists}; unpack the archive of it there")
    ids = list(files)
    short = info.n_images - len(ids) - len(queries)
    missing = [f"{short} of them"] if short > 0 else []
    partial = info.check_complete(
        len(ids) + len(queries), missing, tree, allow_partial=allow_partial
    )
    sizes = {name: _size(path) for name, path in files.items()}
    names = sorted({_landmark(query) for query in queries})
    labels = np.full((len(ids) + len(queries), len(names)), -1, np.int8)
    rows = {name: row for row, name in enumerate(ids)}
    boxes: list[tuple[float, ...]] = [(0, 0, *sizes[name]) for name in ids]
    for number, file in enumerate(queries):
        column = names.index(_landmark(file))
        name, *box = _parsed(file)
        if name not in rows:
            raise DataError(f"{file} asks with {name}, which is not in {tree}; complete it")
        ids.append(name)
        boxes.append(tuple(map(float, box)))
        labels[len(rows) + number, column] = 1
        for kind, value in (("junk", 0), ("ok", 1), ("good", 1)):
            found = read_lines(file.with_name(file.name.replace("query", kind)))
            labels[[rows[one] for one in found if one in rows], column] = value
    sides = ["train"] * len(rows) + ["test"] * len(queries)
    return image_table(
        info.name,
        tree,
        [files[name].relative_to(tree).as_posix() for name in ids],
        labels,
        names,
        official=official_sides(info.name, sides),
        boxes=np.array(boxes),
        partial=partial,
    )


def _landmark(query: Path) -> str:
    return query.name.removesuffix(_QUERY).rpartition("_")[0]  # all_souls_3: the third of five


def _parsed(file: Path) -> tuple[str, ...]:
    (line,) = read_lines(file) or [""]
    name, *box = line.removeprefix("oxc1_").split()
    if len(box) != 4:
        raise DataError(f"{file} holds {line!r}, no image and box; unpack the archive anew")
    return (name, *box)


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:  # extraction says that it failed
        return (1, 1)
