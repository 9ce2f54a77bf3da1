"""UKBench: 10 200 images, four of each of 2 550 objects.

References
----------
Nister and Stewenius, Scalable recognition with a vocabulary tree, CVPR 2006.
"""

from pathlib import Path

from decaf.datasets.image_tables import image_table, only_present
from decaf.datasets.info import Archive, DatasetInfo
from decaf.types import ImageDataset

_OF_AN_OBJECT = 4

INFO = DatasetInfo(
    name="ukbench",
    tree="ukbench/full",
    n_images=10_200,
    n_classes=2550,
    licence="research use",
    home="https://archive.org/details/ukbench",
    archives=(Archive("ukbench.zip", ("https://archive.org/download/ukbench/ukbench.zip",)),),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read UKBench.

    Returns
    -------
    ImageDataset
        A class an object; every image is a query.
    """
    tree = INFO.require(data_root)
    table = image_table(
        INFO.name,
        tree,
        [f"ukbench{number:05d}.jpg" for number in range(INFO.n_images)],
        [number // _OF_AN_OBJECT for number in range(INFO.n_images)],
        [f"object {number:04d}" for number in range(INFO.n_classes)],
    )
    return only_present(INFO, table, allow_partial=allow_partial)
