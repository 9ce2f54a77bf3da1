"""Chatfield et al.'s VOC 2007 classification.

Paper    : Chatfield et al., Return of the devil in the details, arXiv 1405.3531, table 2
Expected : mean average precision (11-point)

           | DeCAF, fc6, measured by them | 73.41 |
           | CNN-F, fc7, augmented views  | 77.15 |

Net      : torchvision's AlexNet for both; --backbone vgg16 or vgg19, --layers fc7 gives 89.3 with
           several scales (VGG, arXiv 1409.1556, table 11)
Data     : VOC 2007 below DATA_ROOT (0.9 GB; `decaf datasets get voc2007`)
Minutes  : about 35 on 2 cores, an estimate from 60 images a second

    python pipelines/chatfield_voc2007.py [--data-root data] [--results results]

First one centre crop, then the mean over ten crops.
"""

from collections.abc import Sequence

from common import compare, evaluate, read_options


def main(arguments: Sequence[str] | None = None) -> None:
    """Evaluate one view, and ten."""
    options = read_options(__doc__, arguments)
    compare(
        [
            evaluate(
                options, "voc2007", "chatfield", layers="fc6,fc7", heads="svm", view=view,
                name=f"voc2007-chatfield-{view}",
            )
            for view in ("center", "ten-crop")
        ]
    )  # fmt: skip


if __name__ == "__main__":
    main()
