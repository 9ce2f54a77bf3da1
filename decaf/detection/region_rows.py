"""Regions as rows: which boxes of an image a detector looks at, and their stored features."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from decaf.datasets import read_bytes
from decaf.datasets.objects import Objects
from decaf.datasets.passed_over import say_once
from decaf.datasets.patch_tables import row_size
from decaf.detection.box_files import read_proposals
from decaf.detection.boxed_images import BoxedImages
from decaf.detection_records import Detection
from decaf.errors import DataError
from decaf.images.decode import decode
from decaf.machine import n_cores
from decaf.names import Names
from decaf.progress import show_progress
from decaf.protocols import image_starts
from decaf.records import Compute, Source
from decaf.regions.boxes import box_iou, clipped, max_iou, sides
from decaf.regions.proposals import selective_search, sliding_grid
from decaf.store import FeatureStore
from decaf.types import BACKGROUND, FloatArray, ImageDataset, IntArray
from decaf.whole_files import whole_file

_NORM = 20.0
"""The mean norm of features, by which R-CNN scales them."""
_N_IMAGES, _N_ROWS = 200, 200
_UNUSABLE = np.array([[0, 0, 1, 1]], np.float32)
_NO_OBJECTS = Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
_SEARCH = "selective-1"
"""Raised with each change of what selective search gives."""


def region_table(
    images: BoxedImages,
    how: Detection,
    *,
    with_objects: bool,
    source: Source = Source(),
    compute: Compute = Compute(),
) -> ImageDataset:
    """Return a table whose rows are regions: an image's objects, if asked, then its proposals.

    Parameters
    ----------
    images : BoxedImages
        Images and their objects.
    how : Detection
        What proposes regions.
    with_objects : bool
        Whether objects are rows, as training needs it.
    source : Source
        Where proposals that were searched for are kept.
    compute : Compute
        Threads, and whether to show progress.

    Returns
    -------
    ImageDataset
        Labels are the class of an object, and of proposals a last one. Boxes are cut to their
        image; objects that lie outside it are left out. An image that cannot be read has one row,
        which will fail.
    """
    table, n_classes = images.table, len(images.class_names)
    propose = proposer(images, how, Path(source.features) / "proposals")
    one = partial(_regions, table, propose)
    n_images, workers = len(table.image_ids), compute.workers
    rows_of = images.objects if with_objects else (_NO_OBJECTS,) * n_images
    found = []
    with (
        ThreadPoolExecutor(n_cores() if workers is None else max(1, workers)) as pool,
        show_progress("proposing", n_images, "images", quiet=compute.quiet) as advance,
    ):
        for regions in pool.map(one, range(n_images), rows_of):
            found.append(regions)
            advance(1)
    of_image, labels_of, n_outside = zip(*found, strict=True)
    if sum(n_outside):
        say_once(f"{how.proposals}: {sum(n_outside)} proposals lie outside their image, left out")
    boxes, labels = np.concatenate(of_image), np.concatenate(labels_of)
    of = np.repeat(np.arange(n_images), [len(each) for each in of_image])
    return replace(
        table,
        image_ids=Names(table.image_ids).take(of),
        labels=np.where(labels < 0, n_classes, labels),
        class_names=(*images.class_names, BACKGROUND),
        sizes_bytes=table.sizes_bytes[of],
        official=None if table.official is None else table.official[of],
        boxes=boxes,
        groups=None,
    )


class _UnreadableError(Exception):
    """An image has no pixels, for a reason that its extraction will say."""


def _regions(
    table: ImageDataset, propose: Callable[[int], FloatArray], row: int, objects: Objects
) -> tuple[FloatArray, IntArray, int]:
    """Return the boxes of one image, their labels, -1 for proposals, and how many lie outside."""
    try:
        size = _size(table, row)
        proposed = propose(row)
    except (_UnreadableError, OSError):
        return _UNUSABLE, np.array([-1]), 0
    boxes = np.concatenate([clipped(objects.boxes, *size), clipped(proposed, *size)])
    labels = np.concatenate([objects.labels, np.full(len(boxes) - len(objects.labels), -1)])
    inside = sides(boxes).min(1) > 0
    n_outside = int((~inside[labels < 0]).sum())
    if not inside.any():
        return np.array([[0, 0, *size]], np.float32), np.array([-1]), n_outside
    return boxes[inside].astype(np.float32), labels[inside].astype(np.int64), n_outside


def proposer(images: BoxedImages, how: Detection, cache: Path) -> Callable[[int], FloatArray]:
    """Return what gives the proposals of an image, at most as many as asked.

    Parameters
    ----------
    images : BoxedImages
        Images and their objects.
    how : Detection
        What proposes.
    cache : pathlib.Path
        Folder where boxes that were searched for are kept, by the content of the image.

    Raises
    ------
    DataError
        If a file of boxes is malformed, or lacks an image.
    """
    table = images.table
    most = how.max_proposals
    if how.proposals == "selective":
        return lambda row: _searched(read_bytes(table, row), cache)[:most]
    if how.proposals == "grid":
        return lambda row: sliding_grid(*_size(table, row))[:most]
    if how.proposals == "truth":
        return lambda row: images.objects[row].boxes[:most]
    file = Path(how.proposals)
    read = read_proposals(file)
    stems = [Path(name).stem for name in table.image_ids]
    if missing := [name for name in stems if name not in read]:
        raise DataError(f"{file} has no boxes of {missing[0]} ({len(missing)} images); add them")
    return lambda row: read[stems[row]][:most]


def _size(table: ImageDataset, row: int) -> tuple[int, int]:
    try:
        return row_size(table, row)
    except DataError as error:
        raise _UnreadableError from error


def _searched(data: bytes, cache: Path) -> FloatArray:
    key = hashlib.sha256(data).hexdigest()
    file = cache / _SEARCH / f"{key[:32]}.npy"
    if file.is_file():
        try:
            kept: FloatArray = np.load(file, allow_pickle=False)
            return kept.reshape(-1, 4)
        except (ValueError, OSError, EOFError):
            pass  # damaged: searched for again
    try:
        image = decode(data)
    except DataError as error:
        raise _UnreadableError from error
    boxes = selective_search(image, key)
    with whole_file(file) as part, part.open("wb") as stream:
        np.save(stream, boxes, allow_pickle=False)
    return boxes


class StoredRegions:
    """The regions of some images of a store, as `decaf.regions.hard_negatives` takes them.

    Parameters
    ----------
    store : FeatureStore
        An open store of a `region_table`.
    layer : str
        Which features.
    images : numpy.ndarray, optional
        Numbers of the images, in order; all if not given.
    """

    def __init__(self, store: FeatureStore, layer: str, images: IntArray | None = None) -> None:
        if store.boxes is None:
            raise DataError(f"asked for regions in {store.path}, whose rows are no boxes")
        self.store, self.layer = store, layer
        starts = image_starts(store.image_ids)
        self._starts = starts
        self.images = np.arange(len(starts) - 1) if images is None else images
        self.proposal = len(store.class_names) - 1  # their label
        self.boxes, self.labels = store.boxes, store.labels
        self._done = np.asarray(store.done, np.bool_)

    @property
    def n_images(self) -> int:
        """Number of images."""
        return len(self.images)

    def rows(self, image: int) -> IntArray:
        """Return the rows of an image that have features."""
        number = self.images[image]
        rows = np.arange(self._starts[number], self._starts[number + 1])
        return rows[self._done[rows]]

    @cached_property
    def classes(self) -> list[int]:
        """Labels of the classes with objects; further numbers of classes are places in it."""
        return sorted({int(label) for label in self.labels[self._all]} - {self.proposal})

    @cached_property
    def _all(self) -> IntArray:
        return np.concatenate([np.zeros(0, int), *map(self.rows, range(self.n_images))])

    @cached_property
    def positives(self) -> list[IntArray]:
        """Rows of each class's objects."""
        return [self._all[self.labels[self._all] == label] for label in self.classes]

    def overlaps(self, image: int) -> FloatArray:
        """Return ``(n, n_classes)`` largest IoU of its rows with an object of each class."""
        rows = self.rows(image)
        labels = self.labels[rows]
        each = [
            max_iou(self.boxes[rows], self.boxes[rows[labels == label]]) for label in self.classes
        ]
        return np.stack(each, 1)

    @cached_property
    def scale(self) -> float:
        """What features are multiplied by, so that their mean norm is 20."""
        rng = np.random.default_rng(0)
        norms = []
        for image in rng.permutation(self.n_images)[:_N_IMAGES]:
            rows = rng.permutation(self.rows(image))[:_N_ROWS]
            norms.append(np.linalg.norm(self._stored(np.sort(rows)), axis=1))
        mean = float(np.concatenate([np.zeros(0), *norms]).mean()) if norms else 0.0
        if not mean > 0:
            raise DataError(f"{self.layer} of all regions in {self.store.path} is 0; use another")
        return _NORM / mean

    def features(self, rows: IntArray) -> FloatArray:
        """Return ``(n, n_features)`` float32 features of rows, scaled."""
        scaled: FloatArray = self._stored(rows) * np.float32(self.scale)
        return scaled

    def pairs(
        self, number: int, min_iou: float
    ) -> Iterator[tuple[FloatArray, FloatArray, FloatArray]]:
        """Yield features and boxes of proposals, and the object of a class that each is near.

        Parameters
        ----------
        number : int
            The class; proposals count that overlap no object of another class more.
        min_iou : float
            They overlap it by more.
        """
        for image in range(self.n_images):
            rows = self.rows(image)
            labels = self.labels[rows]
            truth, others = rows[labels != self.proposal], rows[labels == self.proposal]
            if not len(truth) or not len(others):
                continue
            iou = box_iou(self.boxes[others], self.boxes[truth])
            nearest = truth[iou.argmax(1)]
            near = (iou.max(1) > min_iou) & (self.labels[nearest] == self.classes[number])
            if near.any():
                kept = others[near]
                yield self.features(kept), self.boxes[kept], self.boxes[nearest[near]]

    def _stored(self, rows: IntArray) -> FloatArray:
        return np.asarray(self.store[self.layer][rows], np.float32)
