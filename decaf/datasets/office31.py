"""Office: 4 110 images of 31 kinds of things, from amazon.com, a DSLR camera and a webcam.

References
----------
Saenko, Kulis, Fritz and Darrell, Adapting visual category models to new domains, ECCV 2010.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from decaf.datasets.domains import joined
from decaf.datasets.info import Archive, DatasetInfo
from decaf.types import ImageDataset

COUNTS = {"amazon": 2817, "dslr": 498, "webcam": 795}
"""Images of each domain."""

INFO = DatasetInfo(
    name="office31",
    tree="office31",
    n_images=sum(COUNTS.values()),
    n_classes=31,
    licence="terms on its page",
    home="https://faculty.cc.gatech.edu/~judy/domainadapt/",
    archives=(Archive(file="domain_adaptation_images.tar.gz"),),
)


def load(data_root: Path, *, allow_partial: bool = False) -> ImageDataset:
    """Read Office.

    Returns
    -------
    ImageDataset
        Ids are ``amazon/images/back_pack/frame_0001.jpg``, with the domain of each image.
    """
    tree = INFO.require(data_root)
    here = [domain for domain in COUNTS if (tree / domain / "images").is_dir()]
    if not here:
        INFO.check_complete(0, [f"{tree}/amazon/images"], tree, allow_partial=False)
    table = joined(INFO.name, tree, {domain: f"{domain}/images" for domain in here})
    found, n_classes = Counter(table.domains), len(table.class_names)
    odd = [f"some of {domain}: {found[domain]} of {n}" for domain, n in COUNTS.items()
           if found[domain] != n]  # fmt: skip
    if n_classes != INFO.n_classes:
        odd.append(f"a class: {n_classes} of {INFO.n_classes}")
    total = len(table.image_ids)
    return replace(
        table, partial=INFO.check_complete(total, odd, tree, allow_partial=allow_partial)
    )
