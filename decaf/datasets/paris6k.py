"""Paris: 6 412 images of 11 landmarks and others, and 55 queries by boxes of them.

References
----------
Philbin, Chum, Isard, Sivic and Zisserman, Lost in quantization, CVPR 2008.
"""

from pathlib import Path

from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.landmarks import load_landmarks
from decaf.types import ImageDataset

_SOURCE = "https://www.robots.ox.ac.uk/~vgg/data/"

INFO = DatasetInfo(
    name="paris6k",
    tree="paris6k/paris",
    n_images=6467,
    n_classes=11,
    licence="research use (Flickr terms)",
    home=f"{_SOURCE}parisbuildings/",
    archives=(
        Archive("paris_1.tgz", (f"{_SOURCE}parisbuildings/paris_1.tgz",)),
        Archive("paris_2.tgz", (f"{_SOURCE}parisbuildings/paris_2.tgz",)),
        Archive("paris_120310.tgz", (f"{_SOURCE}parisbuildings/paris_120310.tgz",), into="gt"),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read the images and the queries; see `decaf.datasets.landmarks`.

    Returns
    -------
    ImageDataset
        6 412 images, then 55 queries; take views of their boxes, of scale 1.
    """
    return load_landmarks(INFO, data_root, allow_partial=allow_partial)
