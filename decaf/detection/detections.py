"""What a detector finds: features of regions in, boxes of objects out.

References
----------
Girshick et al., "Rich feature hierarchies", 2014, section 2.2; ``rcnn_test.m``: of each class 40
boxes an image on average, and 100 at most, go on to non-maximum suppression.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from decaf.detection.boxed_images import BoxedImages
from decaf.detection.detector import Detector
from decaf.detection.region_rows import StoredRegions
from decaf.regions.boxes import clipped, nms, sides
from decaf.regions.matching import Matched, Truth, match_detections
from decaf.types import FloatArray, IntArray

_LEAST_SCORE = -1.5
_MEAN_PER_IMAGE, _MOST_PER_IMAGE = 40, 100


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes that a detector takes for objects of one class, the highest score first.

    Attributes
    ----------
    images : numpy.ndarray
        ``(n,)`` number of each box's image.
    boxes : numpy.ndarray
        ``(n, 4)`` half-open boxes.
    scores : numpy.ndarray
        ``(n,)`` scores; above 0 an SVM takes it for an object.
    """

    images: IntArray
    boxes: FloatArray
    scores: FloatArray

    def take(self, rows: IntArray) -> "Detections":
        """Return some of them."""
        return Detections(self.images[rows], self.boxes[rows], self.scores[rows])


@dataclass
class FoundObjects:
    """Takes features of regions from the engine and keeps what may be objects.

    Memory grows with the number of images, not of regions.

    Attributes
    ----------
    detector : Detector
        What scores them.
    boxes : numpy.ndarray
        ``(n_rows, 4)`` half-open boxes.
    images : numpy.ndarray
        ``(n_rows,)`` number of each row's image, ascending.
    failures : dict of int to str
        Why images could not be used.
    """

    detector: Detector
    boxes: FloatArray
    images: IntArray
    failures: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._sizes: dict[int, Sequence[int]] = {}
        self._kept: list[list[Detections]] = [[] for _ in self.detector.class_names]
        self._least = np.full(len(self._kept), _LEAST_SCORE)
        self._most = _MEAN_PER_IMAGE * (1 + int(self.images.max(initial=0)))

    def pending(self) -> IntArray:
        """Return all rows."""
        return np.arange(len(self.boxes))

    def note_stamps(self, stamps: Mapping[int, bytes]) -> None:
        """Take what says whether files change, which does not matter here."""

    def note_sizes(self, sizes_px: Mapping[int, Sequence[int]]) -> None:
        """Take the size of each row's image."""
        self._sizes |= {int(self.images[row]): size for row, size in sizes_px.items()}

    def write(
        self,
        rows: IntArray,
        features: Mapping[str, FloatArray],
        sha256: Sequence[bytes],  # noqa: ARG002 - the engine's interface
    ) -> None:
        """Score rows of one image, and keep the best of each class."""
        X = np.asarray(features[self.detector.layer], np.float32) * np.float32(self.detector.scale)
        if not np.isfinite(X).all():
            self.fail(int(rows[0]), "its features are not finite; use another precision or layer")
            return
        scores = self.detector.scores(X)
        for number, kept in enumerate(self._kept):
            best = np.argsort(-scores[:, number], kind="stable")[:_MOST_PER_IMAGE]
            best = best[scores[best, number] > self._least[number]]
            moved = self.detector.moved(number, self.boxes[rows[best]], X[best])
            kept.append(Detections(self.images[rows[best]], moved, scores[best, number]))
            if sum(len(one.scores) for one in kept) > 2 * self._most:
                self._shorten(number)

    def fail(self, row: int, reason: str) -> None:
        """Note an image that cannot be used."""
        self.failures.setdefault(int(self.images[row]), reason)

    def finish(self, min_score: float | None = None) -> list[Detections]:
        """Return the detections of each class.

        Parameters
        ----------
        min_score : float, optional
            Only those with this score or more.
        """
        return [self._suppressed(number, min_score) for number in range(len(self._kept))]

    def _shorten(self, number: int) -> Detections:
        """Keep so many boxes of a class that there are 40 an image on average."""
        parts = self._kept[number] or [Detections(np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))]
        whole = Detections(
            *(np.concatenate([getattr(one, n) for one in parts]) for n in vars(parts[0]))
        )
        whole = whole.take(np.argsort(-whole.scores, kind="stable"))
        if len(whole.scores) > self._most:
            self._least[number] = whole.scores[self._most]
            whole = whole.take(np.arange(self._most))
        self._kept[number] = [whole]
        return whole

    def _suppressed(self, number: int, min_score: float | None) -> Detections:
        found = self._shorten(number)
        if min_score is not None:
            found = found.take(np.flatnonzero(found.scores >= min_score))
        boxes, kept = found.boxes.copy(), []
        by_image = np.argsort(found.images, kind="stable")
        _, starts = np.unique(found.images[by_image], return_index=True)
        for rows in np.split(by_image, starts)[1:]:
            rows = rows[:_MOST_PER_IMAGE]  # noqa: PLW2901 - of an image that came in parts
            boxes[rows] = clipped(boxes[rows], *self._sizes[int(found.images[rows[0]])])
            real = rows[(sides(boxes[rows]) > 0).all(1)]
            kept.append(real[nms(boxes[real], found.scores[real], self.detector.how.nms_iou)])
        order = np.sort(np.concatenate([np.zeros(0, int), *kept]))
        return Detections(found.images, boxes, found.scores).take(order)


def find_in_store(detector: Detector, regions: StoredRegions) -> list[Detections]:
    """Return what a detector finds among stored proposals; images are numbered as in `regions`.

    Parameters
    ----------
    detector : Detector
        The detector.
    regions : StoredRegions
        Images of a store; rows that are objects are left out.
    """
    rows = [regions.rows(image) for image in range(regions.n_images)]
    rows = [some[regions.labels[some] == regions.proposal] for some in rows]
    flat = np.concatenate([np.zeros(0, int), *rows])
    of = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    found = FoundObjects(detector, regions.boxes[flat], of)
    sizes, start = regions.store.image_sizes_px, 0
    for some in rows:
        if len(some):
            own = np.arange(start, start + len(some))
            found.note_sizes({start: tuple(sizes[some[0]].tolist())})
            features = regions.features(some) / np.float32(regions.scale)
            found.write(own, {detector.layer: features}, ())
            start += len(some)
    return found.finish()


def matched_classes(found: Sequence[Detections], images: BoxedImages) -> list[Matched]:
    """Return what the detections of each class count for.

    Parameters
    ----------
    found : sequence of Detections
        Of each class.
    images : BoxedImages
        The same images and classes.
    """
    matched = []
    for number, one in enumerate(found):
        truth = [
            Truth(objects.boxes[own], objects.difficult[own])
            for objects in images.objects
            for own in [objects.labels == number]
        ]
        matched.append(match_detections(one.images, one.boxes, one.scores, truth))
    return matched
