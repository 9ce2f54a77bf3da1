"""Features from stored maps without touching an image: fc6 and fc7 from pool5, other poolings."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from decaf.backbones import START, TorchBackbone
from decaf.engines.batch import Batch
from decaf.engines.fresh import find_fresh
from decaf.engines.plan import Plan, StoredStart
from decaf.store import FeatureStore, Provenance, failures_path, read_failures


def find_start(folder: Path, plan: Plan, asked: Provenance) -> StoredStart | None:
    """Return a store from which a plan's layers follow exactly, if the folder has one.

    Exactly: stored as it was computed, unpooled and in float32; and it is the only layer asked for,
    which has to be pooled, or the net gives the same bits from there on as in a whole pass, which
    is tried on two random images.

    Parameters
    ----------
    folder : pathlib.Path
        Where to look.
    plan : Plan
        The extraction.
    asked : Provenance
        What decides its features' values.
    """
    if asked.dtype != "float32" or plan.dense is not None:
        return None
    net, layers = plan.backbone, plan.layers
    alone = plan.regions is None and len(layers) == 1
    pooled = layers if plan.pool != "none" and alone else ()
    for layer in (*pooled, *({START} & {*net.layers} - {*layers})):
        unpooled = replace(asked, layers=(layer,), pooling="none")
        found = find_fresh(folder, unpooled, plan.dataset, growing=False)
        if found.path is None or found.n_again:  # images that failed there can be read now
            continue
        form = _form(net, layer) if layer in layers else torch.contiguous_format
        if form is not None and (layer in layers or net.follows(layer, layers)):
            failures = read_failures(failures_path(found.path))
            return StoredStart(layer, FeatureStore(found.path), failures, form)
    return None


def _form(net: TorchBackbone, layer: str) -> torch.memory_format | None:
    """Return how a net leaves a layer's maps in memory: the last bits of a mean depend on it."""
    size_px = net.preprocessing.input_size_px
    pixels = torch.zeros((2, 3, size_px, size_px), dtype=torch.uint8, device=net.device)
    maps = net.activations(pixels, [layer])[layer]
    forms = (torch.channels_last, torch.contiguous_format) if maps.ndim == 4 else ()
    return next((form for form in forms if maps.is_contiguous(memory_format=form)), None)


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
    maps = torch.from_numpy(store[plan.start.layer][np.array(kept, np.int64)]).reshape(-1, *shape)
    digests = [store.image_sha256[row].tobytes() for row in kept]
    stamps = {row: store.image_stamp[row, :-4].tobytes() for row in rows}
    sizes = {row: (int(w), int(h)) for row in kept for w, h in [store.image_sizes_px[row]]}
    batch = Batch(kept, digests, failed, stamps, sizes)
    batch.pixels = maps.contiguous(memory_format=plan.start.form)
    batch.seconds.read = perf_counter() - begun
    return batch
