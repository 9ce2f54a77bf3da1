"""Pascal VOC 2007 classification: 9 963 images, 20 classes, several to an image."""

from pathlib import Path

from decaf.datasets.info import Archive, DatasetInfo
from decaf.datasets.voc import load_classification
from decaf.types import ImageDataset

_SOURCES = (
    "http://host.robots.ox.ac.uk/pascal/VOC/voc2007/",
    "https://thor.robots.ox.ac.uk/pascal/VOC/voc2007/",
)

INFO = DatasetInfo(
    name="voc2007",
    tree="voc2007/VOCdevkit/VOC2007",
    n_images=9963,
    n_classes=20,
    n_sides=(2501, 2510, 4952),
    licence="research only (Flickr terms)",
    home=_SOURCES[0],
    archives=(
        Archive(
            file="VOCtrainval_06-Nov-2007.tar",
            urls=tuple(f"{source}VOCtrainval_06-Nov-2007.tar" for source in _SOURCES),
            size_bytes=460_032_000,
            checksum="sha256:7d8cd951101b0957ddfd7a530bdc8a94f06121cfc1e511bb5937e973020c7508",
        ),
        Archive(
            file="VOCtest_06-Nov-2007.tar",
            urls=tuple(f"{source}VOCtest_06-Nov-2007.tar" for source in _SOURCES),
            size_bytes=451_020_800,
            checksum="sha256:6836888e2e01dca84577a849d339fa4f73e1e4f135d312430c4856b5609b4892",
        ),
    ),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read VOC 2007.

    Returns
    -------
    ImageDataset
        2 501 images to train, 2 510 to validate and 4 952 to test.
    """
    return load_classification(
        INFO, data_root, ("train", "val", "test"), allow_partial=allow_partial
    )
