"""Pascal VOC 2012 classification: 11 540 labelled images, 20 classes, several to an image.

The labels of its 10 991 test images are not published: a server scores them.
"""

from pathlib import Path

from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.voc import load_classification
from decaf.types import ImageDataset

TRAINVAL = Archive(
    file="VOCtrainval_11-May-2012.tar",
    urls=(
        "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
    ),
    size_bytes=1_999_639_040,
    checksum="sha256:e14f763270cf193d0b5f74b169f44157a4b0c6efa708f4dd0ff78ee691763bcb",
)

INFO = DatasetInfo(
    name="voc2012",
    tree="voc2012/VOCdevkit/VOC2012",
    n_images=11_540,
    n_classes=20,
    n_sides=(5717, 5823, 0),
    licence="research only (Flickr terms)",
    home="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
    archives=(TRAINVAL,),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read VOC 2012.

    Returns
    -------
    ImageDataset
        5 717 images to train and 5 823 to validate.
    """
    return load_classification(INFO, data_root, ("train", "val"), allow_partial=allow_partial)
