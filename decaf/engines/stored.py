"""Deeper layers from stored ones: fc6 and fc7 from pool5, without touching an image."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from decaf.engines.batch import Batch
from decaf.engines.fresh import find_fresh
from decaf.engines.plan import START, Plan, StoredStart
from decaf.store import FeatureStore, Provenance, failures_path, read_failures


def find_start(folder: Path, plan: Plan, asked: Provenance) -> StoredStart | None:
    """Return a store from which a plan's layers follow exactly, if the folder has one.

    Exactly: stored as it was computed, unpooled and in float32, and the net gives the same bits
    from there on as in a whole pass, which is tried on two random images.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    plan : Plan
        The extraction.
    asked : Provenance
        What decides its features' values.
    """
    if asked.pooling != "none" or asked.dtype != "float32" or START not in plan.backbone.layers:
        return None
    found = find_fresh(folder, replace(asked, layers=(START,)), plan.dataset, growing=False)
    path = None if found.n_again else found.path  # images that failed there can be read now
    if path is None or not plan.backbone.follows(START, plan.layers):
        return None
    return StoredStart(START, FeatureStore(path), read_failures(failures_path(path)))


def load_stored(plan: Plan, rows: Sequence[int]) -> Batch:
    """Read the stored maps of some rows.

    Returns
    -------
    Batch
        In the order of `rows`, without those that the store has no features of.
    """
    if plan.start is None:
        raise ValueError("the plan does not start at stored maps")
    begun = perf_counter()
    store, shape = plan.start.store, plan.backbone.shape(plan.start.layer)
    kept = [row for row in rows if store.done[row]]
    failed = [(row, plan.start.failures.get(row, "not stored")) for row in rows if row not in kept]
    maps = torch.from_numpy(store[plan.start.layer][np.array(kept, np.int64)])
    digests = [store.image_sha256[row].tobytes() for row in kept]
    stamps = {row: store.image_stamp[row, :-4].tobytes() for row in rows}
    sizes = {row: (int(w), int(h)) for row in kept for w, h in [store.image_sizes_px[row]]}
    batch = Batch(kept, digests, failed, stamps, sizes, pixels=maps.reshape(-1, *shape))
    batch.seconds.read = perf_counter() - begun
    return batch
