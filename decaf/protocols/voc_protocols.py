"""The named protocols of the Pascal VOC data sets."""

from dataclasses import replace
from typing import Any

from decaf.protocols.papers import (
    CHATFIELD,
    FIFTH,
    KORNBLITH,
    KORNBLITH_C,
    KORNBLITH_PIXELS,
    OFFICIAL,
    ZEILER,
    razavian,
)
from decaf.protocols.rule import PublishedProtocol, Selection
from decaf.published import FLAWED
from decaf.types import PatchRule

FAIR = "Goyal et al., arXiv 1905.01235; facebookresearch/fair_self_supervision_benchmark"
FAIR_C = tuple(sorted([*(10.0**i for i in range(-7, 3)), *(0.5**i for i in range(4, 20))]))
WHICH_AP = "which of the two average precisions is not stated; here the 11-point one"
VOC = "Everingham et al., The Pascal visual object classes challenge, IJCV 2010"
OQUAB = "Oquab, Bottou, Laptev & Sivic, CVPR 2014"
ON_SERVER = "published figures are of the test server, trained on train and val; here val tests"


def _official(
    name: str, metric: str, selection: Selection = FIFTH, **more: Any
) -> PublishedProtocol:
    return PublishedProtocol(name, **OFFICIAL, metric=metric, selection=selection, **more)


def _oquab(metric: str, *notes: str) -> PublishedProtocol:
    """Return adaptation layers trained on patches."""
    return _official(
        "oquab",
        metric,
        view="patches",
        patches=PatchRule(),
        source=OQUAB,
        notes=(
            "published with about 500 patches an image; here about 200, an overlap of one half",
            "patches that show a difficult object do not train, which is not stated",
            *notes,
        ),
    )


def _fair() -> tuple[PublishedProtocol, ...]:
    """Return Goyal et al.'s two protocols, each by its correct rule and then as published."""
    svm = _official(
        "fair-svm",
        "map_area",
        Selection("kfold", folds=3),
        c_grid=FAIR_C,
        normalize="l2",
        positive_weight=2.0,
        source=FAIR,
        notes=(
            "published with one C a class; here one C",
            "published training takes ignored images for negatives; here they are left out",
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


_PERSON: dict[str, Any] = {"box": "crop", "box_scale": 1.0}

VOC_PROTOCOLS = {
    "voc2007": (
        *razavian(WHICH_AP, metric="map_11pt", C=0.2),
        _official("chatfield", "map_11pt", Selection("official"), normalize="l2", source=CHATFIELD),
        _official(
            "kornblith",
            "map_11pt",
            Selection("official"),
            c_grid=KORNBLITH_C,
            source=KORNBLITH,
            notes=(KORNBLITH_PIXELS,),
        ),
        *_fair(),
        _oquab("map_11pt", WHICH_AP),
    ),
    "voc2012": (
        _official(
            "zf",
            "map_area",
            source=ZEILER,
            notes=(
                ON_SERVER,
                "published with one softmax over exclusive classes; here one-vs-rest",
                "published without a choice of C; here on a fifth of the training images",
            ),
        ),
        _official("chatfield", "map_area", normalize="l2", source=CHATFIELD, notes=(ON_SERVER,)),
        _oquab("map_area", ON_SERVER),
    ),
    "voc2012-actions": (
        _official(
            "voc",
            "map_area",
            view="warp",
            **_PERSON,
            source=VOC,
            notes=("the choice of C, the view and the box's margin are decaf's",),
        ),
        _official(
            "oquab",
            "map_area",
            view="squash",
            **_PERSON,
            source=OQUAB,
            notes=(ON_SERVER, "how the person's box is cut is decaf's: the box alone"),
        ),
    ),
}
"""Protocols of each VOC data set, its default first."""
