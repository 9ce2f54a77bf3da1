"""One box an image, from features of the whole image.

References
----------
Sermanet et al., "OverFeat", ICLR 2014, section 4: a regression from the pooled maps to the edges of
a box. Here it is the ridge regression of R-CNN, from the image as the first box.
"""

from dataclasses import dataclass

import numpy as np

from decaf.errors import DataError
from decaf.regions.box_regression import fit_boxes
from decaf.regions.boxes import box_iou, clipped
from decaf.store import FeatureStore
from decaf.types import FloatArray, IntArray

_NORM = 20.0


@dataclass(frozen=True, eq=False)
class Localisation:
    """Boxes of the objects of some images.

    Attributes
    ----------
    boxes : numpy.ndarray
        ``(n_images, 4)`` half-open boxes in pixels.
    overlaps : numpy.ndarray
        ``(n_images,)`` IoU of each with the true one.
    """

    boxes: FloatArray
    overlaps: FloatArray

    @property
    def share(self) -> float:
        """Share of the images whose box has an IoU of 0.5 or more."""
        return float((self.overlaps >= 0.5).mean())


def localise(
    store: FeatureStore, layer: str, train: IntArray, test: IntArray
) -> tuple[Localisation, Localisation]:
    """Learn where an image's object is from features of the whole image.

    Parameters
    ----------
    store : FeatureStore
        An open store of whole images with a box each, such as of ``birds`` with the view
        ``squash``.
    layer : str
        Which features; maps must not be pooled over their places.
    train, test : numpy.ndarray
        Rows to learn from, and to find boxes in.

    Returns
    -------
    tuple of (Localisation, Localisation)
        What the features say, and what is said without them: the same place in every image.

    Raises
    ------
    DataError
        If the store has no boxes, or its rows show the boxes alone.
    """
    if store.boxes is None or any(" of " in view for view in store.provenance.views):
        raise DataError(
            f"asked to find one box an image in {store.path}, found no boxes of whole images; "
            "extract a data set with boxes, without --box crop"
        )
    features = {side: np.asarray(store[layer][rows]) for side, rows in enumerate((train, test))}
    scale = np.float32(_NORM / np.linalg.norm(features[0], axis=1).mean())
    sizes = store.image_sizes_px
    whole = np.concatenate([np.zeros_like(sizes), sizes], 1).astype(np.float64)
    fitted = fit_boxes([(features[0] * scale, whole[train], store.boxes[train])])
    found = []
    for X in (features[1] * scale, np.zeros_like(features[1])):
        moved = fitted.move(whole[test], X)
        boxes = np.concatenate(
            [clipped(box[None], *size) for box, size in zip(moved, sizes[test], strict=True)]
        )
        pairs = zip(boxes, store.boxes[test], strict=True)
        overlaps = [box_iou(box[None], true[None])[0, 0] for box, true in pairs]
        found.append(Localisation(boxes, np.array(overlaps)))
    return found[0], found[1]
