"""The named protocols. What a paper leaves open is in `notes` and printed with every result."""

from typing import Any

from decaf.protocols.by_domain import DomainProtocol
from decaf.protocols.papers import (
    CHATFIELD,
    CORAL,
    DECAF,
    FIFTH,
    KORNBLITH,
    KORNBLITH_C,
    KORNBLITH_PIXELS,
    OFFICIAL,
    ONE_VS_ONE,
    OWN_C,
    PARTS,
    SIXTH,
    ZEILER,
    razavian,
)
from decaf.protocols.rule import PublishedProtocol, Selection
from decaf.protocols.voc_protocols import VOC_PROTOCOLS
from decaf.types import ImageDataset

_CALTECH101: dict[str, Any] = {
    "draw": "shots",
    "metric": "mean_per_class",
    "train_per_class": 30,
    "n_images": 9144,
}
_CALTECH256: dict[str, Any] = {**_CALTECH101, "train_per_class": 60, "n_images": 30607}
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
            **OFFICIAL,
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
            **OFFICIAL,
            metric="mean_per_class",
            selection=SIXTH,
            view="warp",
            source=DECAF,
            box="crop",
            notes=(OWN_C,),
        ),
        *razavian(ONE_VS_ONE, metric="mean_per_class", C=2.0, box="crop"),
    ),
    "birds-parts": (
        PublishedProtocol(
            "part-oracle",
            **OFFICIAL,
            metric="mean_per_class",
            selection=Selection("fixed"),
            c_grid=(1.0,),
            normalize="none",
            source=PARTS,
            notes=(
                "boxes of head and body from the true points, at test too",
                "DPD's pooling weights are not to be had; its published figure is a reference",
            ),
        ),
    ),
    "office31": (
        DomainProtocol(
            "office-sampled",
            draw="domains",
            n_splits=5,
            metric="top1",
            selection=FIFTH,
            train_per_class=3,
            test_share=0.5,
            view="warp",
            source=DECAF,
            published_shots=(3,),
            offers=("S", "T", "ST"),
            source_per_class=(("amazon", 20), ("", 8)),
            notes=(
                "how C is chosen is not published; a fifth of each class's rows is held out",
                "whether accuracy is of images or of classes is not stated; here of images",
                "a class of fewer source images than the rule asks for trains on all it has",
            ),
        ),
        DomainProtocol(
            "office-full",
            draw="domains",
            n_splits=1,
            metric="top1",
            selection=Selection("kfold", folds=2),
            test_share=0.5,
            view="warp",
            source=CORAL,
            notes=("the view is not stated; here warp",),
        ),
    ),
    "mit67": (*razavian(ONE_VS_ONE, metric="mean_per_class", C=2.0),),
    **VOC_PROTOCOLS,
}

PROTOCOLS: dict[str, dict[str, PublishedProtocol]] = {
    name: {protocol.name: protocol for protocol in (*_NAMED.get(name, ()), *_ANY)}
    for name in (*_NAMED, "*")
}
"""Protocols by data set and name; ``"*"`` stands for any data set without an entry.

The first of a data set is its default.
"""


def protocols_of(dataset: ImageDataset) -> dict[str, PublishedProtocol]:
    """Return the protocols of a data set; one of domains has Office's, if none of its own."""
    any_other = "*" if dataset.domains is None else "office31"
    return PROTOCOLS.get(dataset.name, PROTOCOLS[any_other])
