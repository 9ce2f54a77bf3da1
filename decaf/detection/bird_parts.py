"""Birds by their parts: features of box, head and body side by side.

References
----------
Zhang et al., "Part-based R-CNNs for fine-grained category detection", ECCV 2014: each part warped
as R-CNN does, a part that is not seen is zeros, signed powers of 0.3.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from decaf.datasets.birds import PARTS, load_parts, part_boxes
from decaf.datasets.passed_over import say_once
from decaf.detection.detector_training import region_plan
from decaf.detection_records import Detection
from decaf.errors import ConfigError, DataError
from decaf.extraction import extract_plan, load_nets, source_table
from decaf.names import Names
from decaf.records import Compute, Net, Source, takes_records
from decaf.store import FeatureStore, import_features
from decaf.stored_images import one_layer
from decaf.types import FloatArray, ImageDataset, IntArray
from decaf.whole_files import require_output, whole_file

POWER = 0.3
DATASET = "birds-parts"
"""What the images are called by results; its protocol is ``part-oracle``."""


@takes_records
def extract_bird_parts(
    net: Net = Net(),
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path = "birds-parts.h5",
) -> Path:
    """Make a store of birds whose rows are features of box, head and body, one after another.

    Parameters
    ----------
    net : Net
        The net, and the one layer that is read of each part; ``fc6`` if none is given.
    source : Source
        Where the data set ``birds`` is, and where the features of single parts are stored.
    compute : Compute
        Where and how the net runs.
    out : str or pathlib.Path
        The store (``.h5``), for ``decaf evaluate`` with the protocol ``part-oracle``.

    Returns
    -------
    pathlib.Path
        The store.

    Raises
    ------
    ConfigError
        If an option is wrong, or the birds are limited.
    DataError
        If the birds or their points are missing.
    StoreError
        If a store cannot be written.
    """
    path = Path(out)
    require_output(path, ".h5")
    source.only("birds by parts", "data_root", "allow_partial", "decoder", "features")
    (layer,) = one_layer(net.layer_names or ("fc6",))
    table = source_table("birds", source)
    regions, of, part = part_table(table, part_boxes(load_parts(Path(source.data_root))))
    (backbone, *others) = load_nets(net, compute.device)
    asked = replace(net, layers=[layer])
    plan = region_plan(regions, backbone, asked, Detection(), source=source, compute=compute)
    plan = replace(plan, replicas=tuple(others))
    with FeatureStore(extract_plan(plan, net, source=source, compute=compute)) as store:
        n_features = store[layer].shape[1]
        rows = np.zeros((len(table.image_ids), 1 + len(PARTS), n_features), np.float32)
        done = np.flatnonzero(store.done)
        rows[of[done], part[done]] = powered(np.asarray(store[layer][done], np.float32))
        rows[of[~store.done]] = np.nan  # of images that failed
    features = path.with_suffix(".npy")
    with whole_file(features) as made, made.open("wb") as stream:
        np.save(stream, rows.reshape(len(rows), -1), allow_pickle=False)
    try:
        birds = replace(table, name=DATASET, boxes=None)
        return import_features(features, birds, path, layer=layer)
    finally:
        features.unlink()


def part_table(
    table: ImageDataset, boxes: dict[str, FloatArray]
) -> tuple[ImageDataset, IntArray, IntArray]:
    """Return a table of the parts that are seen: an image's box, then its head, then its body.

    Parameters
    ----------
    table : ImageDataset
        Birds with their boxes.
    boxes : dict of str to numpy.ndarray
        ``(n_images, 4)`` boxes of further parts; NaN where one is not seen.

    Returns
    -------
    ImageDataset
        A row a part.
    numpy.ndarray
        Number of each row's image.
    numpy.ndarray
        Number of each row's part.

    Raises
    ------
    DataError
        If there are boxes of other images.
    """
    if table.boxes is None:
        raise ConfigError(f"asked for parts of {table.name}, which has no boxes; give birds")
    if any(len(one) != len(table.boxes) for one in boxes.values()):
        raise DataError(f"asked for parts of {len(table.boxes)} birds, found points of others")
    all_parts = np.stack([table.boxes, *boxes.values()], 1)
    of, part = np.nonzero(np.isfinite(all_parts).all(2))
    counts = np.bincount(part, minlength=1 + len(boxes))[1:]
    said = ", ".join(f"{name} {n}" for name, n in zip(boxes, counts, strict=True))
    say_once(f"{table.name}: of {len(table.boxes)} birds these parts are seen: {said}")
    rows = replace(
        table,
        image_ids=Names(table.image_ids).take(of),
        labels=table.labels[of],
        sizes_bytes=table.sizes_bytes[of],
        official=None if table.official is None else table.official[of],
        boxes=all_parts[of, part],
    )
    return rows, of, part


def powered(X: FloatArray) -> FloatArray:
    """Return the signed powers of 0.3 of features."""
    signed: FloatArray = np.sign(X) * np.abs(X) ** np.float32(POWER)
    return signed
