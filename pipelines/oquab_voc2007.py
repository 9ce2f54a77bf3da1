"""Oquab et al.'s VOC 2007 classification: adaptation layers on patches.

Paper    : Oquab, Bottou, Laptev and Sivic, CVPR 2014; figures from Laptev's slides
Expected : mean average precision (11-point, which the paper does not state)

           | INRIA | NUS-PSL | PRE-1000C |
           | 59.4  | 70.5    | 77.7      |

Net      : torchvision's AlexNet, fc7; the paper's is its own, PRE-1512 with 512 more classes
Data     : VOC 2007 below DATA_ROOT (0.9 GB; `decaf datasets get voc2007`)
Minutes  : about 420 on 2 cores, an estimate from 90 of 2.3 million patches a second; --view dense
           takes a third of that

    python pipelines/oquab_voc2007.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train adaptation layers on patches, and score images by the mean of fifth powers."""
    options = read_options(__doc__, arguments)
    compare([evaluate(options, "voc2007", "oquab", layers="fc7", heads="adaptation")])


if __name__ == "__main__":
    main()
