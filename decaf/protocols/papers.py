"""What protocols of several data sets share: papers, values of C, Razavian's two rules."""

from dataclasses import replace
from typing import Any

from decaf.protocols.rule import PublishedProtocol, Selection

DECAF = "Donahue et al., arXiv 1310.1531 (ICML 2014)"
ZEILER = "Zeiler & Fergus, arXiv 1311.2901 (ECCV 2014)"
CHATFIELD = "Chatfield et al., arXiv 1405.3531; VGG, arXiv 1409.1556, appendix B"
KORNBLITH = "Kornblith et al., arXiv 1805.08974; SimCLR, arXiv 2002.05709, B.8"
CORAL = "Sun, Feng and Saenko, arXiv 1511.05547 (AAAI 2016)"
PARTS = "Zhang et al., ECCV 2014 (part-based R-CNN, oracle parts)"
RAZAVIAN = "Razavian et al., arXiv 1403.6382"

SIXTH = Selection("holdout", share=5 / 30)
FIFTH = Selection("holdout", share=0.2)

LAMBDAS = 45  # values of the weight decay from 1e-6 to 1e5, and C = 1 / weight decay
KORNBLITH_C = tuple(10 ** (-5 + 11 * i / (LAMBDAS - 1)) for i in range(LAMBDAS))
KORNBLITH_PIXELS = "published with a bicubic resize to 224; view center is the weights' own"

ONE_VS_ONE = "published with one-vs-one voting; here one-vs-rest"
HINGE = "published with the hinge loss; here its square"
AUGMENTED = (
    "the angle of the two rotations is not stated; here 10 degrees to either side",
    "whether the signed square comes before or after the l2 norm is not stated; here before",
)
OWN_C = "how C is chosen is not published; a sixth of each class's training images is held out"

OFFICIAL: dict[str, Any] = {"draw": "official", "n_splits": 1}


def razavian(note: str, *, C: float, **fields: Any) -> tuple[PublishedProtocol, ...]:
    """Return CNN-SVM, and CNNaug-SVM, in which all 16 views train and their scores are summed."""
    plain = PublishedProtocol(
        "razavian",
        **OFFICIAL,
        selection=Selection("fixed"),
        c_grid=(C,),
        normalize="l2",
        view="squash",
        source=RAZAVIAN,
        notes=(note, HINGE),
        **fields,
    )
    augmented = replace(
        plain,
        name="razavian-aug",
        view="razavian-16",
        normalize="signed-square",
        train_views="separate",
        test_views="sum",
        notes=(*plain.notes, *AUGMENTED),
    )
    return plain, augmented
