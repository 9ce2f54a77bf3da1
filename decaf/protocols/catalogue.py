"""The named protocols. What a paper leaves open is in `notes` and printed with every result."""

from dataclasses import replace
from typing import Any

from decaf.protocols.rule import PublishedProtocol, Selection
from decaf.published import FLAWED

DECAF = "Donahue et al., arXiv 1310.1531 (ICML 2014)"
ZEILER = "Zeiler & Fergus, arXiv 1311.2901 (ECCV 2014)"
CHATFIELD = "Chatfield et al., arXiv 1405.3531; VGG, arXiv 1409.1556, appendix B"
KORNBLITH = "Kornblith et al., arXiv 1805.08974; SimCLR, arXiv 2002.05709, B.8"
RAZAVIAN = "Razavian et al., arXiv 1403.6382"

SIXTH = Selection("holdout", share=5 / 30)
FIFTH = Selection("holdout", share=0.2)

LAMBDAS = 45  # values of the weight decay from 1e-6 to 1e5, and C = 1 / weight decay
KORNBLITH_C = tuple(10 ** (-5 + 11 * i / (LAMBDAS - 1)) for i in range(LAMBDAS))
KORNBLITH_PIXELS = "published with a bicubic resize to 224; view center is the weights' own"
FAIR = "Goyal et al., arXiv 1905.01235; facebookresearch/fair_self_supervision_benchmark"
FAIR_C = tuple(sorted([*(10.0**i for i in range(-7, 3)), *(0.5**i for i in range(4, 20))]))

ONE_VS_ONE = "published with one-vs-one voting; here one-vs-rest"
WHICH_AP = "which of the two average precisions is not stated; here the 11-point one"
HINGE = "published with the hinge loss; here its square"
AUGMENTED = (
    "the angle of the two rotations is not stated; here 10 degrees to either side",
    "whether the signed square comes before or after the l2 norm is not stated; here before",
)
OWN_C = "how C is chosen is not published; a sixth of each class's training pictures is held out"

_CALTECH101: dict[str, Any] = {
    "draw": "shots",
    "metric": "mean_per_class",
    "train_per_class": 30,
    "n_images": 9144,
}
_CALTECH256: dict[str, Any] = {**_CALTECH101, "train_per_class": 60, "n_images": 30607}
_OFFICIAL: dict[str, Any] = {"draw": "official", "n_splits": 1}


def _razavian(note: str, *, C: float, **fields: Any) -> tuple[PublishedProtocol, ...]:
    """Return CNN-SVM, and CNNaug-SVM, in which all 16 views train and their scores are summed."""
    plain = PublishedProtocol(
        "razavian",
        **_OFFICIAL,
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


def _fair() -> tuple[PublishedProtocol, ...]:
    """Return Goyal et al.'s two protocols, each by its correct rule and then as published."""
    svm = PublishedProtocol(
        "fair-svm",
        **_OFFICIAL,
        metric="map_area",
        selection=Selection("kfold", folds=3),
        c_grid=FAIR_C,
        normalize="l2",
        positive_weight=2.0,
        source=FAIR,
        notes=(
            "published with one C a class; here one C",
            "published training takes ignored pictures for negatives; here they are left out",
        ),
    )
    low_shot = replace(
        svm,
        name="fair-lowshot",
        draw="lowshot",
        n_splits=5,
        train_per_class=1,
        published_shots=(1, 2, 4, 8, 16, 32, 64, 96),
        selection=Selection("fixed"),
        c_grid=(1.0,),
        notes=("published C is picked on the test side, for each class; here C is 1",),
    )
    return (
        svm,
        replace(svm, name=f"fair-svm{FLAWED}", ignored_are_negative=True, notes=svm.notes[:1]),
        low_shot,
        replace(
            low_shot,
            name=f"fair-lowshot{FLAWED}",
            selection=Selection("test"),
            c_grid=FAIR_C,
            notes=("C is picked on the test side, as published, but one for all classes",),
        ),
    )


_ANY = (
    PublishedProtocol(
        "holdout", draw="holdout", n_splits=5, metric="mean_per_class", selection=FIFTH
    ),
    PublishedProtocol("kfold", draw="kfold", n_splits=5, metric="mean_per_class", selection=FIFTH),
)

_NAMED = {
    "caltech101": (
        PublishedProtocol(
            "decaf",
            **_CALTECH101,
            n_splits=5,
            selection=SIXTH,
            view="warp",
            source=DECAF,
            published_shots=(1, 3, 5, 10, 15, 20, 25, 30),
            notes=("published with one C for the whole learning curve; here C is chosen anew",),
        ),
        PublishedProtocol(
            "zf",
            **_CALTECH101,
            n_splits=5,
            test_per_class=50,
            selection=SIXTH,
            source=ZEILER,
            published_shots=(15, 30),
            notes=(OWN_C,),
        ),
        PublishedProtocol(
            "chatfield",
            **_CALTECH101,
            n_splits=3,
            test_per_class=50,
            selection=FIFTH,
            normalize="l2",
            source=CHATFIELD,
            published_shots=(30,),
        ),
        PublishedProtocol(
            "kornblith",
            **_CALTECH101,
            n_splits=1,
            selection=FIFTH,
            c_grid=KORNBLITH_C,
            source=KORNBLITH,
            published_shots=(30,),
            notes=(KORNBLITH_PIXELS, "the published held-out share is not stated; here a fifth"),
        ),
    ),
    "caltech256": (
        PublishedProtocol(
            "zf",
            **_CALTECH256,
            n_splits=5,
            selection=SIXTH,
            source=ZEILER,
            published_shots=(15, 30, 45, 60),
            notes=(OWN_C, "the test rule and the clutter class are not stated; all the rest tests"),
        ),
        PublishedProtocol(
            "chatfield",
            **_CALTECH256,
            n_splits=3,
            selection=FIFTH,
            normalize="l2",
            source=CHATFIELD,
            published_shots=(60,),
        ),
    ),
    "sun397": (
        PublishedProtocol(
            "decaf",
            draw="official",
            n_splits=5,
            metric="mean_per_class",
            selection=Selection("holdout", share=8 / 50),
            view="warp",
            source=DECAF,
            notes=("which 5 of the 10 public splits is not stated; here the first 5",),
        ),
        PublishedProtocol(
            "kornblith",
            **_OFFICIAL,
            metric="top1",
            selection=FIFTH,
            c_grid=KORNBLITH_C,
            source=KORNBLITH,
            notes=(KORNBLITH_PIXELS, "the published held-out share is not stated; here a fifth"),
        ),
    ),
    "birds": (
        PublishedProtocol(
            "decaf",
            **_OFFICIAL,
            metric="mean_per_class",
            selection=SIXTH,
            view="warp",
            source=DECAF,
            box="crop",
            notes=(OWN_C,),
        ),
        *_razavian(ONE_VS_ONE, metric="mean_per_class", C=2.0, box="crop"),
    ),
    "mit67": (*_razavian(ONE_VS_ONE, metric="mean_per_class", C=2.0),),
    "voc2007": (
        *_razavian(WHICH_AP, metric="map_11pt", C=0.2),
        PublishedProtocol(
            "chatfield",
            **_OFFICIAL,
            metric="map_11pt",
            selection=Selection("official"),
            normalize="l2",
            source=CHATFIELD,
        ),
        PublishedProtocol(
            "kornblith",
            **_OFFICIAL,
            metric="map_11pt",
            selection=Selection("official"),
            c_grid=KORNBLITH_C,
            source=KORNBLITH,
            notes=(KORNBLITH_PIXELS,),
        ),
        *_fair(),
    ),
}

PROTOCOLS: dict[str, dict[str, PublishedProtocol]] = {
    name: {protocol.name: protocol for protocol in (*_NAMED.get(name, ()), *_ANY)}
    for name in (*_NAMED, "*")
}
"""Protocols by data set and name; ``"*"`` stands for any data set without an entry.

The first of a data set is its default.
"""
