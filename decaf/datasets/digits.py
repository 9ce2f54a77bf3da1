"""The digits of scikit-learn: 1 797 handwritten digits of 8 x 8 pixels, in 10 classes.

They come with scikit-learn and are written as PNG files, so that they take the way of all
images.

References
----------
Alpaydin and Kaynak, Optical recognition of handwritten digits, UCI repository, 1998.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from decaf.datasets.image_tables import image_table
from decaf.datasets.info import DatasetInfo
from decaf.datasets.listing import image_names
from decaf.errors import DataError
from decaf.types import ImageDataset
from decaf.whole_files import whole_folder

INFO = DatasetInfo(
    name="digits",
    tree="digits",
    n_images=1797,
    n_classes=10,
    licence="CC BY 4.0",
    home="https://archive.ics.uci.edu/dataset/80",
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read the digits, after writing them if they are not there.

    Returns
    -------
    ImageDataset
        Ids are ``<digit>/<number in scikit-learn's order>.png``.
    """
    tree = data_root / INFO.tree
    if not tree.is_dir():
        _write(tree)
    ids = [f"{digit}/{file}" for digit in range(10) for file in image_names(tree / str(digit))]
    written = {int(Path(image_id).stem) for image_id in ids}
    missing = [f"{number:04d}.png" for number in range(INFO.n_images) if number not in written]
    partial = INFO.check_complete(len(ids), missing, tree, allow_partial=allow_partial)
    labels = [int(image_id[0]) for image_id in ids]
    return image_table(INFO.name, tree, ids, labels, "0123456789", partial=partial)


def _write(tree: Path) -> None:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes a second: only who needs it

    digits = load_digits()
    grey = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # published as 0 to 16
    try:
        with whole_folder(tree) as aside:
            for number, (image, digit) in enumerate(zip(grey, digits.target, strict=True)):
                folder = aside / str(digit)
                folder.mkdir(exist_ok=True)
                Image.fromarray(image).save(folder / f"{number:04d}.png")
    except DataError as error:
        if not tree.is_dir():  # else another process was first
            raise DataError(f"cannot write the digits: {error}") from error
