"""Goyal et al.'s VOC 2007 classification of a supervised ResNet-50: SVM and low-shot.

Paper    : Goyal et al., arXiv 1905.01235; figures from OpenSelfSup, which follows its code
Expected : mean average precision (area)

           | SVM, all images      | 87.17                                                   |
           | positives of a class   | 1     | 2     | 4    | 8     | 16    | 32    | 64    | 96    |
           | low-shot, mean of 5    | 52.99 | 63.55 | 73.7 | 78.79 | 81.76 | 83.75 | 85.18 | 85.97 |

           The protocols with -goyal repeat the paper's flaws: ignored images train as negatives;
           the low-shot C is picked on the test side.

Net      : torchvision's ResNet-50, layer4 averaged over a grid of 2 x 2: 8192 features
Data     : VOC 2007 below DATA_ROOT (0.9 GB; `decaf datasets get voc2007`)
Minutes  : about 40 on 2 cores, an estimate from 10 images a second

    python pipelines/fair_voc2007.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options

SHOTS = "1,2,4,8,16,32,64,96"


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate both protocols by the correct rule, then as published."""
    options = read_options(__doc__, arguments, backbone="resnet50")
    tables = []
    for flaw in ("", "-goyal"):
        for protocol, shots in (("fair-svm", None), ("fair-lowshot", SHOTS)):
            tables.append(
                evaluate(
                    options, "voc2007", f"{protocol}{flaw}", layers="layer4", heads="svm",
                    pool="grid:2", shots=shots,
                )
            )  # fmt: skip
    compare(tables)


if __name__ == "__main__":
    main()
