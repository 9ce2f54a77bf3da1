"""Oxford Buildings: 5 062 images of 11 landmarks and others, and 55 queries by boxes of them.

References
----------
Philbin, Chum, Isard, Sivic and Zisserman, Object retrieval with large vocabularies and fast
spatial matching, CVPR 2007.
"""

from pathlib import Path

from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.landmarks import load_landmarks
from decaf.types import ImageDataset

_SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/"

INFO = DatasetInfo(
    name="oxford5k",
    tree="oxford5k/images",
    n_images=5117,
    n_classes=11,
    licence="research use (Flickr terms)",
    home=f"{_SOURCE}oxbuildings/",
    archives=(
        Archive("oxbuild_images.tgz", (f"{_SOURCE}oxbuildings/oxbuild_images.tgz",), into="images"),
        Archive("gt_files_170407.tgz", (f"{_SOURCE}oxbuildings/gt_files_170407.tgz",), into="gt"),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read the images and the queries; see `decaf.datasets.landmarks`.

    Returns
    -------
    ImageDataset
        5 062 images, then 55 queries; take views of their boxes, of scale 1.
    """
    return load_landmarks(INFO, data_root, allow_partial=allow_partial)
