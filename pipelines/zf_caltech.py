"""Zeiler and Fergus's Caltech-101 and Caltech-256, and their features layer by layer.

Paper    : Zeiler and Fergus, arXiv 1311.2901 (ECCV 2014), Caltech tables and table 7
Expected : mean per-class accuracy, mean ± deviation of 5 splits

           | training images a class | 15         | 30         | 45         | 60         |
           | Caltech-101, softmax(7)   | 83.8 ± 0.5 | 86.5 ± 0.5 |            |            |
           | Caltech-256, softmax(7)   | 65.7 ± 0.2 | 70.6 ± 0.2 | 72.7 ± 0.4 | 74.2 ± 0.3 |

           | table 7    | Caltech-101, 30 | Caltech-256, 60 |
           | SVM(1)     | 44.8 ± 0.7      | 24.6 ± 0.4      |
           | SVM(2)     | 66.2 ± 0.5      | 39.6 ± 0.3      |
           | SVM(3)     | 72.3 ± 0.4      | 46.0 ± 0.3      |
           | SVM(4)     | 76.6 ± 0.4      | 51.3 ± 0.1      |
           | SVM(5)     | 86.2 ± 0.8      | 65.6 ± 0.3      |
           | SVM(7)     | 85.5 ± 0.4      | 71.7 ± 0.2      |
           | Softmax(5) | 82.9 ± 0.4      | 65.7 ± 0.5      |
           | Softmax(7) | 85.4 ± 0.4      | 72.6 ± 0.1      |

Net      : torchvision's AlexNet, where the paper has its own net
Data     : Caltech-101 (131 MB) and Caltech-256 (1.2 GB) below DATA_ROOT
Minutes  : about 120 on 2 cores, an estimate; the first layers' features take 12 GB

    python pipelines/zf_caltech.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options

SHOTS = {"caltech101": "15,30", "caltech256": "15,30,45,60"}
SVM_LAYERS = "features.2,features.5,features.7,features.9,pool5,fc7"
SOFTMAX_LAYERS = "pool5,fc7"


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate the tables of both data sets."""
    options = read_options(__doc__, arguments)
    tables = []
    for dataset, shots in SHOTS.items():
        most = shots.rpartition(",")[2]
        for layers, heads, some, name in (
            (SVM_LAYERS, "svm", most, "zf-svm"),
            (SOFTMAX_LAYERS, "logreg", most, "zf-softmax"),
            ("fc7", "logreg", shots.removesuffix(f",{most}"), "zf-shots"),
        ):
            tables.append(
                evaluate(
                    options, dataset, "zf", layers=layers, heads=heads, shots=some,
                    name=f"{dataset}-{name}",
                )
            )  # fmt: skip
    compare(tables)


if __name__ == "__main__":
    main()
