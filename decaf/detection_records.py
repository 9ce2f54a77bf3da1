"""The options of detection, declared as those of `decaf.records`."""

from dataclasses import fields

from decaf.choices import Proposals, Route
from decaf.fields import Record, option, record
from decaf.records import Net

_OF_NET = {one.name: one.metadata["about"] for one in fields(Net)}


@record
class Detection(Record):
    """How regions of images are proposed, seen and learned; the defaults are R-CNN's."""

    route: Route = option(
        default="crop",
        about="crop: each region is warped; roi: all are pooled from one pass, at a tenth of the "
        "cost.",
    )
    proposals: Proposals = option(
        default="selective",
        about="Regions: selective (selective search), grid (windows), truth (the objects), or a "
        ".csv or .mat file of boxes.",
    )
    max_proposals: int = option(default=2000, about="At most so many regions of an image.", low=1)
    context_px: int = option(
        default=16, about="With crop, pixels around a region in the net's input.", low=0
    )
    roi_px: int = option(default=600, about="With roi, the shorter side of an image.", low=32)
    svm_c: float = option(default=1e-3, about="C of the SVMs.", low=1e-12)
    positive_weight: float = option(
        default=2.0, about="What C is multiplied by for objects.", low=1e-3
    )
    negative_iou: float = option(
        default=0.3, about="Negatives overlap an object of their class by less.", low=0, high=1
    )
    epochs: int = option(default=1, about="How often images are searched for negatives.", low=1)
    no_box_regression: bool = option(default=False, about="Leave boxes as they were proposed.")
    nms_iou: float = option(
        default=0.3, about="Detections of a class overlap by no more.", low=0, high=1
    )


@record
class Applied(Record):
    """How a trained detector is applied."""

    min_score: float | None = option(
        default=None,
        about="Least score of a detection; above 0 a box is taken for an object. If not given, "
        "R-CNN's rule.",
    )
    proposals: Proposals | None = option(
        default=None,
        about="selective, grid, truth, or a .csv or .mat file of boxes; as in training if not "
        "given.",
    )
    weights: str | None = option(
        default=None,
        about=f"{_OF_NET['weights']} If not given, those of the training, where they were.",
    )
    allow_code: bool = option(default=False, about=_OF_NET["allow_code"])
