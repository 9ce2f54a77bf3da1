"""SUN397, scenes: 108 754 images in 397 classes, with ten official partitions.

References
----------
Xiao et al., SUN database: large-scale scene recognition from abbey to zoo, 2010.
"""

from pathlib import Path

import numpy as np

from decaf.datasets.image_tables import image_table
from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.listing import image_names
from decaf.datasets.lists import read_lines
from decaf.types import ImageDataset

N_PARTITIONS = 10
N_LISTED = 19_850
"""Images to train, and as many to test, of each partition: 50 of each class."""

_FEWEST = 108_753  # TensorFlow Datasets counts one less than torchvision

INFO = DatasetInfo(
    name="sun397",
    tree="sun397/SUN397",
    n_images=108_754,
    n_classes=397,
    licence="research use",
    home="https://vision.princeton.edu/projects/2010/SUN/",
    archives=(
        Archive(
            file="Partitions.zip",
            urls=("https://vision.princeton.edu/projects/2010/SUN/download/Partitions.zip",),
            size_bytes=18_293_705,
            checksum="sha256:e3311ea5f812d4cc6faef194688343d1111f6cd6f70f2c62f393c2b8d6ba1ec9",
            into="Partitions",
        ),
        Archive(
            file="SUN397.tar.gz",
            urls=("https://vision.princeton.edu/projects/2010/SUN/SUN397.tar.gz",),
            size_bytes=39_077_296_924,
            checksum="sha256:f404130965a7ad77bed5ececc71e720ab50f3cc1e1bb257257610d38f3b928ec",
            streamed=True,
        ),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read SUN397.

    Returns
    -------
    ImageDataset
        All the images, with the partitions in the columns of ``official``; each holds 50
        images to train and 50 to test of each class. Class names may have two levels, such as
        ``apartment_building/outdoor``.
    """
    tree = INFO.require(data_root)
    lists = tree.parent / "Partitions"
    classes = [line.strip("/") for line in read_lines(lists / "ClassName.txt")]  # a/abbey
    ids = [
        f"{name}/{file}"
        for name in classes
        if (tree / name).is_dir()
        for file in image_names(tree / name)
    ]
    rows = {image_id: row for row, image_id in enumerate(ids)}
    official = np.zeros((len(ids), N_PARTITIONS), dtype=np.int8)
    missing: dict[str, None] = {}
    for partition in range(N_PARTITIONS):
        for side, code in (("Training", 1), ("Testing", 3)):
            name = f"{side}_{partition + 1:02d}.txt"
            lines = read_lines(lists / name)
            if len(lines) != N_LISTED:
                missing[f"a line of {name} ({len(lines)} of {N_LISTED})"] = None
            for line in lines:
                if (image_id := line.strip("/")) in rows:
                    official[rows[image_id], partition] = code
                else:
                    missing[image_id] = None
    if not missing and len(ids) < _FEWEST:
        missing["an image of no partition"] = None
    partial = INFO.check_complete(len(ids), list(missing), tree, allow_partial=allow_partial)
    numbers = {name: number for number, name in enumerate(classes)}
    return image_table(
        INFO.name,
        tree,
        ids,
        [numbers[image_id.rpartition("/")[0]] for image_id in ids],
        [name.partition("/")[2] for name in classes],
        official=official,
        partial=partial,
    )
