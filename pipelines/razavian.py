"""Razavian et al.'s linear SVM on MIT-67, VOC 2007 and birds, plain and augmented.

Paper    : Razavian et al., CNN features off-the-shelf, arXiv 1403.6382, tables 1 to 3
Expected : mean per-class accuracy, for VOC mean average precision

           |             | CNN-SVM | CNNaug-SVM |
           | VOC 2007    | 73.9    | 77.2       |
           | MIT-67      | 58.4    | 69.0       |
           | Birds (box) | 53.3    | 61.8       |

Net      : torchvision's AlexNet fc6, where the paper has OverFeat's large net
Data     : MIT-67 (2.4 GB), VOC 2007 (0.9 GB) and CUB-200-2011 (1.2 GB) below DATA_ROOT
Minutes  : about 180 on 2 cores, an estimate from 60 images a second: 16 views an image

    python pipelines/razavian.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate both protocols on the three data sets."""
    options = read_options(__doc__, arguments)
    compare(
        [
            evaluate(options, dataset, protocol, layers="fc6", heads="svm")
            for dataset in ("voc2007", "mit67", "birds")
            for protocol in ("razavian", "razavian-aug")
        ]
    )


if __name__ == "__main__":
    main()
