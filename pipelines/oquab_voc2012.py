"""Oquab et al.'s VOC 2012 classification: adaptation layers on patches.

Paper    : Oquab, Bottou, Laptev and Sivic, CVPR 2014; figures from Laptev's slides
Expected : mean average precision (area) on the test server; here val tests

           | NUS-PSL | NO PRETRAIN | PRE-1000C | PRE-1000R | PRE-1512 |
           | 82.2    | 70.9        | 78.7      | 76.3      | 82.8     |

Net      : torchvision's AlexNet, fc7; the paper's is its own, PRE-1512 with 512 more classes
Data     : VOC 2012 below DATA_ROOT (1.9 GB; `decaf datasets get voc2012`)
Minutes  : about 490 on 2 cores, an estimate from 90 of 2.6 million patches a second; --view dense
           takes a third of that

NO PRETRAIN trains the whole net from random weights; the paper does so on patches, this script on
whole views.

    python pipelines/oquab_voc2012.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train adaptation layers on patches, and score images by the mean of fifth powers."""
    options = read_options(__doc__, arguments)
    adapted = evaluate(
        options, "voc2012", "oquab", layers="fc7", heads="adaptation"
    )  # fmt: skip
    no_pretrain = evaluate(
        options, "voc2012", "oquab", layers="fc7", heads="finetune", view="squash",
        name="voc2012-no-pretrain", from_scratch=True,
    )  # fmt: skip
    compare([adapted, no_pretrain])


if __name__ == "__main__":
    main()
