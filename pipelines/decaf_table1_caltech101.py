"""DeCAF's Caltech-101 table.

Paper    : Donahue et al., DeCAF, arXiv 1310.1531 (ICML 2014), section 4.1, figure 4 left
Expected : mean per-class accuracy at 30 training images a class, mean ± deviation of 5 splits

           |                  | DeCAF5     | DeCAF6     | DeCAF7     |
           | LogReg           | 63.3 ± 6.6 | 84.3 ± 1.6 | 84.9 ± 0.6 |
           | LogReg + dropout |            | 86.1 ± 0.8 | 85.7 ± 0.6 |
           | SVM              | 77.1 ± 1.1 | 84.8 ± 1.2 | 83.2 ± 1.2 |
           | SVM + dropout    |            | 86.9 ± 0.7 | 85.5 ± 0.9 |

Net      : torchvision's AlexNet, which is not DeCAF's (one tower, no response normalisation)
Data     : Caltech-101 below DATA_ROOT (131 MB, fetched where there is a network)
Minutes  : about 10 on 2 cores

    python pipelines/decaf_table1_caltech101.py [--data-root data] [--results results]

It also draws figure 4 right: 1 to 30 training images a class on fc6, heads with dropout.
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options

SHOTS = "1,3,5,10,15,20,25,30"


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate every head on every layer, then the learning curve."""
    options = read_options(__doc__, arguments)
    table = evaluate(
        options,
        "caltech101",
        "decaf",
        layers="pool5,fc6,fc7",
        heads="logreg,logreg-dropout,svm,svm-dropout",
        name="decaf-table1",
    )
    curve = evaluate(
        options,
        "caltech101",
        "decaf",
        layers="fc6",
        heads="logreg-dropout,svm-dropout",
        shots=SHOTS,
        name="decaf-figure4",
    )
    compare([table, curve])


if __name__ == "__main__":
    main()
