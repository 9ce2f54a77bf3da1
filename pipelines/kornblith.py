"""Kornblith et al.'s linear probes of a supervised ResNet-50.

Paper    : Kornblith et al., arXiv 1805.08974, as measured in BYOL, arXiv 2006.07733, table 3
Expected : Caltech-101 94.5 (mean per class), VOC 2007 82.8 (mAP, 11-point), SUN397 61.9 (top-1)

Net      : torchvision's ResNet-50, average-pooled; --weights takes another entry
Data     : Caltech-101 (131 MB), VOC 2007 (0.9 GB) and SUN397 (39 GB) below DATA_ROOT
Minutes  : about 240 on 2 cores, an estimate from 10 images a second

    python pipelines/kornblith.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate on the three data sets."""
    options = read_options(__doc__, arguments, backbone="resnet50")
    compare(
        [
            evaluate(options, dataset, "kornblith", layers="avgpool", heads="logreg")
            for dataset in ("caltech101", "voc2007", "sun397")
        ]
    )


if __name__ == "__main__":
    main()
