"""Images with boxes to a detector: `train_detector`."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from decaf.backbones import TorchBackbone
from decaf.detection.boxed_images import BoxedImages, load_boxed
from decaf.detection.detector import Detector
from decaf.detection.region_rows import StoredRegions, region_table
from decaf.detection_records import Detection
from decaf.engines import Plan, make_plan, region_route
from decaf.errors import ConfigError, DataError
from decaf.extraction import extract_plan, load_nets
from decaf.progress import log, show_progress
from decaf.records import Compute, Net, Source, View, takes_records
from decaf.regions.box_regression import MIN_IOU, BoxRegression, fit_boxes
from decaf.regions.hard_negatives import Mining, SvmRule, mine
from decaf.store import FeatureStore
from decaf.stored_images import one_layer
from decaf.tensor_file import read_tensors, write_tensors
from decaf.types import ImageDataset
from decaf.whole_files import require_output

SECONDS_BETWEEN_STATES = 30.0
"""After so long a training writes where it is."""


@takes_records
def train_detector(
    dataset: str | Path | BoxedImages,
    net: Net = Net(),
    detection: Detection = Detection(),
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path = "detector.safetensors",
) -> Path:
    """Train a detector as R-CNN does: SVMs and box regressions on a frozen net's features.

    Where the images have a split, the train and validation sides train. A call that was stopped
    goes on where it was: proposals and features are stored, and the search for negatives writes
    where it is beside the model.

    Parameters
    ----------
    dataset : str, pathlib.Path or BoxedImages
        Images and the boxes of their objects; see `decaf.detection.load_boxed`.
    net : Net
        The net, and the one layer whose features are learned; ``pool5`` if none is given.
    detection : Detection
        How regions are proposed, seen and learned.
    source : Source
        Which images, and where features are stored.
    compute : Compute
        Where and how the net runs.
    out : str or pathlib.Path
        The detector, a ``.safetensors`` file.

    Returns
    -------
    pathlib.Path
        The detector.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the images or their boxes are not usable.
    BackboneError
        If the net, its weights or the layer is not usable.
    StoreError
        If the store cannot be written.
    """
    path = Path(out)
    require_output(path, ".safetensors", inputs=[net.weights, dataset])  # type: ignore[list-item] # images are no file
    layers = one_layer(net.layer_names or ("pool5",))
    source.only("detection", "data_root", "limit", "allow_partial", "decoder", "features")
    images = load_boxed(dataset, source).side("train", "val")
    if not any(len(one.labels) for one in images.objects):
        raise DataError(
            f"asked to train on {len(images.objects)} images of {images.table.name}, found no "
            "object in them; annotate some, or give their split train to images that have some"
        )
    (backbone, *others) = load_nets(net, compute.device)
    table = region_table(images, detection, with_objects=True, source=source, compute=compute)
    asked = replace(net, layers=layers)
    plan = region_plan(table, backbone, asked, detection, source=source, compute=compute)
    plan = replace(plan, replicas=tuple(others))
    store_path = extract_plan(plan, net, source=source, compute=compute)
    with FeatureStore(store_path) as store:
        detector = fit_detector(
            StoredRegions(store, layers[0]), backbone, net, detection, state=path, compute=compute
        )
    replace(detector, decoder=source.decoder).save(path)
    _state_file(path).unlink(missing_ok=True)
    if not compute.quiet:
        n_objects = sum(len(one.labels) for one in images.objects)
        log(f"{len(images.objects)} images, {n_objects} objects; wrote {path}")
    return path


def region_plan(
    table: ImageDataset,
    backbone: TorchBackbone,
    net: Net,
    how: Detection,
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
) -> Plan:
    """Return how a table of regions becomes features.

    Parameters
    ----------
    table : ImageDataset
        A row a region; see `region_table`.
    backbone : TorchBackbone
        The loaded net.
    net : Net
        What is taken of it.
    how : Detection
        By which route.
    source, compute : Source, Compute
        Who decodes, and how it runs.

    Raises
    ------
    ConfigError
        If the net cannot go the route, or a GPU is to decode.
    """
    if source.decoder == "gpu":
        raise ConfigError("asked for regions by decoder 'gpu', which cannot make them; use 'auto'")
    plan = make_plan(
        table,
        backbone,
        net,
        View("squash", box="crop", box_scale=1.0),
        decoder=source.decoder,
        compute=compute,
    )
    route = region_route(
        backbone, plan.layers, how.route, context_px=how.context_px, roi_px=how.roi_px
    )
    return replace(plan, regions=route)


def fit_detector(
    regions: StoredRegions,
    backbone: TorchBackbone,
    net: Net,
    how: Detection,
    *,
    state: Path | None = None,
    compute: Compute = Compute(),
) -> Detector:
    """Train SVMs and box regressions on stored regions.

    Parameters
    ----------
    regions : StoredRegions
        Of the images to train on.
    backbone : TorchBackbone
        The net that they were seen by.
    net : Net
        What was taken of it.
    how : Detection
        How to train.
    state : pathlib.Path, optional
        The model to be; where the training is, is written beside it and taken up again.
    compute : Compute
        Whether to show progress.

    Returns
    -------
    Detector
        The detector.
    """
    rule = SvmRule(how.svm_c, how.positive_weight, how.negative_iou, how.epochs)
    keeper = None if state is None else _Keeper(_state_file(state), regions, rule)
    start = None if keeper is None else keeper.found()
    total = rule.epochs * regions.n_images
    with show_progress("mining", total, "images", quiet=compute.quiet) as advance:

        def after(at: Mining) -> None:
            advance(1)
            if keeper is not None:
                keeper.keep(at)

        mined = mine(regions, rule, start, after)
    names = tuple(regions.store.class_names[label] for label in regions.classes)
    if left := sorted(set(regions.store.class_names[:-1]) - set(names)):
        log(f"found no object to train on of {', '.join(left)}; they are left out")
    moved = () if how.no_box_regression else range(len(names))
    regressions = [_regression(regions, number) for number in moved]
    return Detector(
        backbone=backbone.name,
        weights=net.weights if isinstance(net.backbone, str) else backbone.weights,
        weights_sha256=backbone.weights_sha256,
        seed=net.seed,
        precision=backbone.precision,
        layer=regions.layer,
        pool=net.pool,
        decoder="auto",
        how=how,
        class_names=names,
        scale=regions.scale,
        svm_weights=mined.weights,
        svm_bias=mined.bias,
        regressions=tuple(regressions) or (None,) * len(names),
    )


def _regression(regions: StoredRegions, number: int) -> BoxRegression | None:
    pairs = regions.pairs(number, MIN_IOU)
    first = next(pairs, None)
    if first is None:
        return None
    return fit_boxes(_after(first, pairs))


def _after(first: Any, rest: Any) -> Any:
    yield first
    yield from rest


def _state_file(model: Path) -> Path:
    return model.with_name(f"{model.stem}.mining.safetensors")


class _Keeper:
    """Writes where a search for negatives is, and finds it again if it is the same one."""

    def __init__(self, file: Path, regions: StoredRegions, rule: SvmRule) -> None:
        said = json.dumps([regions.store.digest, regions.layer, vars(rule)])
        said += np.array2string(regions.images, threshold=10**9)
        self.file, self.digest = file, hashlib.sha256(said.encode()).hexdigest()
        self._written = monotonic()

    def found(self) -> Mining | None:
        """Return where an earlier search was."""
        try:
            kept = read_tensors(self.file)
        except DataError as error:
            log(f"{error}; searching from the start")
            return None
        if kept is None or kept[1].get("digest") != self.digest:
            return None
        at = Mining.of_tensors(kept[0])
        log(f"going on from {self.file}: {at.n_done} images are done")
        return at

    def keep(self, at: Mining) -> None:
        """Write where it is, unless that was done a moment ago."""
        if monotonic() - self._written >= SECONDS_BETWEEN_STATES:
            write_tensors(self.file, at.tensors(), {"digest": self.digest})
            self._written = monotonic()
