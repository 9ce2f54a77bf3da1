"""A batch size that is fast and fits the memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter

import torch

from decaf.engines.batch import Batch
from decaf.engines.forward import Forward, bytes_per_view, is_out_of_memory
from decaf.engines.machine import free_memory_bytes, n_cores
from decaf.engines.plan import Plan, threads_of_one
from decaf.images.views import n_views
from decaf.progress import log

SIZES = {"cpu": (8, 16, 32, 64, 128), "cuda": (32, 64, 128, 256, 512, 1024)}
_GAIN = 1.03
"""A larger batch must be faster by this factor, or it is not worth its memory."""
_SHARE = 0.5
"""Of the free memory, what all the batches of a CPU may take."""
_REPEATS = 2
_WARMING = 2
"""Passes before those: on a GPU the second is recorded, and the others are replayed."""


def tuned(plan: Plan, *, quiet: bool = False) -> Plan:
    """Return a plan with the batch size that runs fastest, found by trying.

    Sizes are doubled until that pays no more, or until the memory does not suffice.

    Returns
    -------
    Plan
        With the smallest size tried, where none fits: a pass that fails is halved later; as it was
        for dense patches, whose passes are of one image each.
    """
    if plan.dense is not None:
        return plan
    net, views = plan.backbone, n_views(plan.view)
    sizes = SIZES[net.device.type]
    free = free_memory_bytes() if net.device.type == "cpu" else None
    if free is not None:
        at_once = min(max(plan.workers, 1), n_cores())
        most = free * _SHARE / (at_once * views * bytes_per_view(net))
        sizes = tuple(size for size in sizes if size <= most) or (1,)
    size = fastest(sizes, lambda size: _seconds(replace(plan, batch_size=size)))
    if not quiet:
        log(f"batch size {size} is the best of those tried on {net.device}")
    return replace(plan, batch_size=size)


def fastest(sizes: Sequence[int], seconds_of: Callable[[int], float]) -> int:
    """Return the size after which a larger one gains nothing, or runs out of memory.

    Parameters
    ----------
    sizes : sequence of int
        Ascending, at least one.
    seconds_of : callable
        Returns the seconds that a pass of that size takes, or raises.

    Raises
    ------
    RuntimeError
        If a pass fails for another reason than memory.
    """
    best, best_rate = sizes[0], 0.0
    for size in sizes:
        try:
            rate = size / seconds_of(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return best
        if rate < best_rate * _GAIN:
            return best
        best, best_rate = size, rate
    return best


def _seconds(plan: Plan) -> float:
    """Return the seconds of a batch's pass as one worker takes it, the best of a few.

    The pass is the one of the extraction: its layers, views, pooling and copies.
    """
    size_px, n_pixels = plan.backbone.preprocessing.input_size_px, plan.batch_size
    shape = (n_pixels * n_views(plan.view), 3, size_px, size_px)
    pixels = torch.zeros(shape, dtype=torch.uint8).contiguous(memory_format=torch.channels_last)
    batch = Batch(list(range(n_pixels)), pixels=pixels)
    forward = Forward(plan, plan.backbone, halving=False)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(threads_of_one(plan))
    try:
        seconds = []
        for _ in range(_WARMING + _REPEATS):
            start = perf_counter()
            forward.features(batch)
            seconds.append(perf_counter() - start)
    finally:
        torch.set_num_threads(n_threads)
    return min(seconds[_WARMING:])
