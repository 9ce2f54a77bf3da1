"""DeCAF's SUN-397 table.

Paper    : Donahue et al., DeCAF, arXiv 1310.1531 (ICML 2014), section 4.4
Expected : mean per-class accuracy at 50 training images a class, 5 of the official partitions

           |        | DeCAF6     | DeCAF7     |
           | LogReg | 40.9 ± 0.3 | 40.8 ± 0.3 |
           | SVM    | 39.4 ± 0.3 | 40.7 ± 0.3 |

Net      : torchvision's AlexNet, which is not DeCAF's (one tower, no response normalisation)
Data     : SUN397 and its partitions below DATA_ROOT (39 GB; `decaf datasets get sun397`)
Minutes  : about 60 on 2 cores, an estimate from 60 images a second

    python pipelines/decaf_sun397.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate both heads on both layers."""
    options = read_options(__doc__, arguments)
    compare([evaluate(options, "sun397", "decaf", layers="fc6,fc7", heads="logreg,svm")])


if __name__ == "__main__":
    main()
