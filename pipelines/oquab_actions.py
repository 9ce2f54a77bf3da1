"""Oquab et al.'s VOC 2012 actions: adaptation layers on persons' boxes.

Paper    : Oquab, Bottou, Laptev and Sivic, CVPR 2014; figures from Laptev's slides
Expected : mean average precision (area) on the test server; here val tests

           | STANFORD | OXFORD | NO PRETRAIN | PRE-1512 | PRE-1512U |
           | 69.1     | 69.6   | 49.7        | 68.4     | 70.2      |

Net      : torchvision's AlexNet, fc7; the paper's is its own, PRE-1512 with 512 more classes
Data     : VOC 2012 below DATA_ROOT (1.9 GB; `decaf datasets get voc2012`)
Minutes  : about 5 on 2 cores, an estimate from 60 images a second

NO PRETRAIN trains the whole net from random weights; the paper does so on patches, this script on
whole views.

    python pipelines/oquab_actions.py [--data-root data] [--results results]
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train adaptation layers on the boxes of persons."""
    options = read_options(__doc__, arguments)
    adapted = evaluate(
        options, "voc2012-actions", "oquab", layers="fc7", heads="adaptation", view="squash",
        box="crop",
    )  # fmt: skip
    no_pretrain = evaluate(
        options, "voc2012-actions", "oquab", layers="fc7", heads="finetune", view="squash",
        box="crop", name="voc2012-actions-no-pretrain", from_scratch=True,
    )  # fmt: skip
    compare([adapted, no_pretrain])


if __name__ == "__main__":
    main()
