"""A detector and images to boxes and figures: `detect`, `evaluate_detector`."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from decaf.backbones import TorchBackbone
from decaf.datasets.objects import Objects
from decaf.detection.boxed_images import BoxedImages, load_boxed
from decaf.detection.detections import Detections, FoundObjects, matched_classes
from decaf.detection.detector import Detector
from decaf.detection.detector_training import region_plan
from decaf.detection.region_rows import region_table
from decaf.detection_records import Applied
from decaf.engines import run
from decaf.errors import ConfigError, DataError
from decaf.escapes import csv_cell, csv_path
from decaf.names import Names
from decaf.prediction import find_images, refuse_failed, write_failed
from decaf.progress import log, show_progress
from decaf.records import Compute, Net, Source, takes_records
from decaf.regions.matching import Matched
from decaf.regions.proposals import proposal_recall
from decaf.trained_net import load_net
from decaf.types import FloatArray, ImageDataset
from decaf.whole_files import require_output, whole_file

COUNTS = (100, 300, 1000, None)
"""Numbers of an image's first proposals whose recall is reported, if it has more; None: all."""


@takes_records
def detect(
    model: str | Path | Detector,
    images: Sequence[str | Path],
    *,
    out: str | Path = "detections.csv",
    applied: Applied = Applied(),
    source: Source = Source(),
    compute: Compute = Compute(),
) -> Path:
    """Write the boxes of the objects that a detector finds in images.

    Parameters
    ----------
    model : str, pathlib.Path or Detector
        A file that `train_detector` wrote.
    images : sequence of str or pathlib.Path
        Image files, folders and lists, as `decaf.predict` takes them.
    out : str or pathlib.Path
        CSV file of ``path,class,score,x1,y1,x2,y2``: half-open boxes in pixels from 0. Images that
        cannot be used are listed in ``<out>.failures.csv``.
    applied : Applied
        Which detections are written, what proposes regions, and where the net's weights are. If it
        gives no least score, all that R-CNN's test keeps, which are 40 a class and image on
        average.
    source : Source
        Where proposals are kept.
    compute : Compute
        Where and how the net runs.

    Returns
    -------
    pathlib.Path
        The CSV file.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the model is not usable, or too many images are not.
    BackboneError
        If the net cannot be had, or its weights are not those of the training.
    """
    path = Path(out)
    failures_file = path.with_name(path.stem + ".failures.csv")
    for written in (path, failures_file):
        require_output(
            written, ".csv", inputs=[*images, *([] if isinstance(model, Detector) else [model])]
        )
    source.only("detection in images", "features")
    detector = _loaded(model, applied.proposals)
    if detector.how.proposals == "truth":
        raise ConfigError(
            "asked for proposals 'truth' of images without known objects; give others"
        )
    names = tuple(dict.fromkeys(find_images(images)))
    none = Objects(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
    table = ImageDataset(
        "images",
        Path(),
        names,
        np.zeros(len(names), np.int64),
        detector.class_names,
        np.zeros(len(names), np.int64),
    )
    asked = BoxedImages(table, (none,) * len(names), detector.class_names)
    net = _net_of(detector, applied, compute)
    found = _found(detector, net, asked, source, compute)
    failed = {names[number]: reason for number, reason in found.failures.items()}
    write_failed(failures_file, failed)
    refuse_failed(failed, names, compute.max_failures)
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["path", "class", "score", "x1", "y1", "x2", "y2"])
        lines.writerows(_lines(detector, names, found.finish(applied.min_score)))
    if failed and not compute.quiet:
        log(f"{len(failed)} images could not be used; see {failures_file}")
    return path


@dataclass(frozen=True, eq=False)
class DetectionResult:
    """How well a detector finds objects.

    Attributes
    ----------
    class_names : tuple of str
        Names of the classes.
    matched : tuple of Matched
        What the detections of each class count for.
    found : tuple of Detections
        These detections.
    images : BoxedImages
        The images and their objects.
    recall : dict of int or None to numpy.ndarray
        Share of the objects that proposals reach, see `decaf.regions.proposals.proposal_recall`.
    n_proposals : float
        Mean number of proposals of an image.
    failures : dict of str to str
        Why images could not be used; their objects count as missed.
    """

    class_names: tuple[str, ...]
    matched: tuple[Matched, ...]
    found: tuple[Detections, ...]
    images: BoxedImages
    recall: dict[int | None, FloatArray]
    n_proposals: float
    failures: dict[str, str]

    @property
    def ap_11pt(self) -> FloatArray:
        """Average precision ``(n_classes,)`` by eleven points; nan where a class has no object."""
        return np.array([one.ap_11pt for one in self.matched])

    @property
    def ap_area(self) -> FloatArray:
        """Average precision ``(n_classes,)`` by the area under the curve."""
        return np.array([one.ap_area for one in self.matched])

    def lines(self) -> Iterator[tuple[str, int, str, str]]:
        """Yield class, number of objects that are not difficult, and both average precisions."""
        for name, one in zip(self.class_names, self.matched, strict=True):
            yield name, one.n_objects, f"{one.ap_11pt:.6f}", f"{one.ap_area:.6f}"
        total = sum(one.n_objects for one in self.matched)
        means = [float(np.nanmean(each)) for each in (self.ap_11pt, self.ap_area)]
        yield "mean", total, f"{means[0]:.6f}", f"{means[1]:.6f}"


@takes_records
def evaluate_detector(
    model: str | Path | Detector,
    dataset: str | Path | BoxedImages,
    *,
    out: str | Path | None = None,
    applied: Applied = Applied(),
    source: Source = Source(),
    compute: Compute = Compute(),
) -> DetectionResult:
    """Return the average precision of a detector, by VOC's rule, and the recall of its proposals.

    Where the images have a split, its test side counts; the validation side where there is none.

    Parameters
    ----------
    model : str, pathlib.Path or Detector
        A file that `train_detector` wrote.
    dataset : str, pathlib.Path or BoxedImages
        Images and the boxes of their objects; see `decaf.detection.load_boxed`.
    out : str or pathlib.Path, optional
        CSV file of ``class,objects,ap_11pt,ap_area`` to write.
    applied : Applied
        What proposes regions, and where the net's weights are.
    source : Source
        Which images.
    compute : Compute
        Where and how the net runs.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the model or the images are not usable.
    BackboneError
        If the net cannot be had, or its weights are not those of the training.
    """
    path = None if out is None else Path(out)
    if path is not None:
        require_output(path, ".csv", inputs=[str(model), str(dataset)])
    applied.only("evaluation", "proposals", "weights", "allow_code")
    source.only("evaluation of a detector", "data_root", "limit", "allow_partial", "features")
    detector = _loaded(model, applied.proposals)
    images = _tested(load_boxed(dataset, source))
    if unknown := sorted(set(images.class_names) - set(detector.class_names)):
        log(f"the detector does not know {', '.join(unknown)}; their objects do not count")
    images = images.of_classes(detector.class_names)
    if all(one.difficult.all() for one in images.objects):
        raise DataError(
            f"asked to test on {len(images.objects)} images of {images.table.name}, found no "
            f"object of {', '.join(detector.class_names)} that is not difficult; annotate some"
        )
    net = _net_of(detector, applied, compute)
    found = _found(detector, net, images, source, compute)
    names = images.table.image_ids
    failed = {names[number]: reason for number, reason in found.failures.items()}
    refuse_failed(failed, names, compute.max_failures)
    by_class = tuple(found.finish())
    boxes = np.split(found.boxes, np.searchsorted(found.images, np.arange(1, len(names))))
    most = max(map(len, boxes))
    counts = [count for count in COUNTS if count is None or count < most]
    result = DetectionResult(
        detector.class_names,
        tuple(matched_classes(by_class, images)),
        by_class,
        images,
        proposal_recall(boxes, [one.boxes[~one.difficult] for one in images.objects], counts),
        len(found.boxes) / len(names),
        failed,
    )
    if path is not None:
        with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(["class", "objects", "ap_11pt", "ap_area"])
            lines.writerows((csv_cell(name), *rest) for name, *rest in result.lines())
    return result


def _loaded(model: str | Path | Detector, proposals: str | None) -> Detector:
    detector = model if isinstance(model, Detector) else Detector.load(model)
    if proposals is None:
        return detector
    return replace(detector, how=replace(detector.how, proposals=proposals))


def _net_of(detector: Detector, applied: Applied, compute: Compute) -> TorchBackbone:
    weights, allow_code = applied.weights, applied.allow_code
    return load_net(detector, weights=weights, device=compute.device, allow_code=allow_code)


def _tested(images: BoxedImages) -> BoxedImages:
    if images.table.official is None:
        log(f"{images.table.name} has no split: all its images are tested, those of training too")
    test = images.side("test")
    return test if len(test.objects) else images.side("val")


def _found(
    detector: Detector, net: TorchBackbone, images: BoxedImages, source: Source, compute: Compute
) -> FoundObjects:
    """Run a detector over images."""
    table = region_table(images, detector.how, with_objects=False, source=source, compute=compute)
    asked = Net(layers=[detector.layer], pool=detector.pool)
    plan = region_plan(
        table,
        net,
        asked,
        detector.how,
        source=replace(source, decoder=detector.decoder),
        compute=compute,
    )
    if table.boxes is None:
        raise ConfigError("asked to detect in a table without boxes")
    starts = Names(table.image_ids).starts()
    of = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    found = FoundObjects(detector, table.boxes, of)
    # failures are counted by the caller, who knows what was asked
    with show_progress("detecting", len(of), "regions", quiet=compute.quiet) as advance:
        run(replace(plan, max_failures=1.0), found, advance)
    return found


def _lines(
    detector: Detector, names: Sequence[str], found: Sequence[Detections]
) -> Iterator[tuple[str, ...]]:
    """Yield the lines of all detections, image after image, the highest score first."""
    rows = [
        (int(image), -float(score), name, box)
        for name, one in zip(detector.class_names, found, strict=True)
        for image, score, box in zip(one.images, one.scores, one.boxes.tolist(), strict=True)
    ]
    for image, score, name, box in sorted(rows, key=lambda row: row[:2]):
        edges = (f"{edge:.2f}" for edge in box)
        yield (csv_path(names[image]), csv_cell(name), f"{-score:.6f}", *edges)
