"""Adaptation layers on patches of cluttered scenes, with real weights and real images."""

from pathlib import Path

import numpy as np
import pytest
from flat import evaluate
from scenes import write_scenes

from decaf.datasets import load_dataset
from decaf.datasets.objects import load_objects
from decaf.heads.adaptation import AdaptationHead
from decaf.images.patches import intersections_over_unions
from decaf.store import FeatureStore
from decaf.types import BACKGROUND

LAYER = "pool5"


def localised(store: FeatureStore, root: Path) -> float:
    """Return the share of present classes whose best patch is on their object.

    On it: an intersection over union above 0.3, or its centre inside the object.
    """
    X, boxes, ids = store[LAYER][:], store.boxes, np.array(store.image_ids)
    tests = store.official[:, 0] == 3
    background = store.class_names.index(BACKGROUND)
    shown = np.random.default_rng(0).random(len(tests)) < 0.1  # as the protocol thins it
    trains = ~tests & ((store.labels < background) | ((store.labels == background) & shown))
    head = AdaptationHead(device="cpu").fit(X[trains], store.labels[trains])
    y = head.predict_proba(X[tests])
    table = load_dataset("voc2007", root, allow_partial=True)
    objects = dict(zip(table.image_ids, load_objects(table), strict=True))
    hits = []
    for image_id in np.unique(ids[tests]):
        own = ids[tests] == image_id
        there = objects[image_id]
        for label, box in zip(there.labels, there.boxes, strict=True):
            column = np.searchsorted(head.classes_, label)
            best = boxes[tests][own][y[own, column].argmax()]
            x, y_px = (best[:2] + best[2:]) / 2
            inside = box[0] <= x < box[2] and box[1] <= y_px < box[3]
            overlap = intersections_over_unions(best[None], box[None])[0, 0]
            hits.append(overlap > 0.3 or inside)
    return float(np.mean(hits))


@pytest.mark.data
@pytest.mark.slow
def test_patches_beat_whole_images_and_find_the_objects(assets: Path, tmp_path: Path) -> None:
    write_scenes(assets, tmp_path / "data", n_train=120, n_test=40)

    def score(protocol: str, head: str, **options: str) -> float:
        (row,) = evaluate(
            "voc2007",
            protocol=protocol,
            backbone="decaf-mini",
            layers=LAYER,
            pool="avg",
            heads=head,
            device="cpu",
            allow_partial=True,
            data_root=tmp_path / "data",
            features=tmp_path / protocol,
            out=tmp_path / f"{protocol}.csv",
            quiet=True,
            **options,
        ).aggregates()
        assert (row.n_train, row.n_test, row.metric) == (120, 40, "map_11pt")
        return row.mean

    whole = score("chatfield", "svm", view="squash")
    patches = score("oquab", "adaptation", patch_scales="2.4,3.2")
    assert patches >= whole + 0.05
    (path,) = (tmp_path / "oquab").glob("*.h5")
    with FeatureStore(path) as store:
        assert localised(store, tmp_path / "data") >= 0.7
