"""Extraction on one machine: threads that each take batches from files to the store.

On a CPU one thread a core carries its own batch through every stage, the net included, so
nothing waits in queues and no core idles at the end of a parallel loop. On a GPU one batch at
a time is in the net while the other threads read and decode.
"""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from time import perf_counter

import numpy as np
import torch

from decaf.backbones import pool_features
from decaf.engines.allocator import keep_freed_memory
from decaf.engines.load import Batch, load_batch
from decaf.engines.plan import Plan, Progress, StageSeconds
from decaf.errors import DataError
from decaf.images.views import n_views
from decaf.types import FeatureWriter, FloatArray, IntArray


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(plan: Plan, writer: FeatureWriter, progress: Progress) -> StageSeconds:
    """Extract the features of every row that the writer does not have yet.

    Parameters
    ----------
    plan : Plan
        The extraction.
    writer : FeatureWriter
        Takes features, and reasons of failures.
    progress : callable
        Told of every finished batch.

    Returns
    -------
    StageSeconds
        Added over threads.

    Raises
    ------
    DataError
        If more than the plan's share of pictures failed.
    """
    keep_freed_memory()
    return _Run(plan, writer, progress).finish()


class _Run:
    """The state that the threads of one extraction share."""

    def __init__(self, plan: Plan, writer: FeatureWriter, progress: Progress) -> None:
        self.plan = plan
        self.writer = writer
        self.progress = progress
        self.seconds = StageSeconds()
        self.n_failed = 0
        self.stop = threading.Event()
        self._blocks = _blocks(writer.pending(), plan.batch_size)
        self._taking = threading.Lock()
        self._writing = threading.Lock()
        on_cpu = plan.backbone.device.type == "cpu"
        self._net = threading.Semaphore(min(max(plan.workers, 1), n_cores()) if on_cpu else 1)

    def finish(self) -> StageSeconds:
        """Work until no block is left; finish the blocks in flight before an error leaves."""
        if self.plan.workers == 0:
            self._drain()
            return self.seconds
        n_threads = torch.get_num_threads()
        share = max(1, n_cores() // self.plan.workers)
        try:
            with ThreadPoolExecutor(
                self.plan.workers, initializer=torch.set_num_threads, initargs=(share,)
            ) as pool:
                futures = [pool.submit(self._drain) for _ in range(self.plan.workers)]
                try:
                    wait(futures, return_when=FIRST_EXCEPTION)
                finally:
                    self.stop.set()
            for future in futures:
                future.result()
        finally:
            torch.set_num_threads(n_threads)
        return self.seconds

    def _drain(self) -> None:
        while not self.stop.is_set():
            with self._taking:
                block = next(self._blocks, None)
            if block is None:
                return
            self._carry(block)

    def _carry(self, rows: IntArray) -> None:
        batch = load_batch(self.plan, rows.tolist())
        with self._net:
            start = perf_counter()
            features = self._compute(batch)
            batch.seconds.net = perf_counter() - start
        with self._writing:
            start = perf_counter()
            if batch.rows:
                self.writer.write(np.array(batch.rows), features, batch.sha256)
            for row, reason in batch.failures:
                self.writer.fail(row, reason)
            batch.seconds.write = perf_counter() - start
            self.n_failed += len(batch.failures)
            self.seconds.add(batch.seconds)
            self.progress(len(rows), self.n_failed)
        if self.n_failed > self.plan.max_failures * len(self.plan.dataset.image_ids):
            raise DataError(
                f"{self.n_failed} of {len(self.plan.dataset.image_ids)} pictures cannot be "
                f"used, more than the share of {self.plan.max_failures:g} that --max-failures "
                f"allows; the last one: {self.plan.dataset.image_ids[batch.failures[-1][0]]} "
                f"({batch.failures[-1][1]})"
            )

    def _compute(self, batch: Batch) -> dict[str, FloatArray]:
        if not batch.rows:
            return {}
        views = n_views(self.plan.view)
        pixels = batch.pixels.to(self.plan.backbone.device)
        outputs = self.plan.backbone.activations(pixels, self.plan.layers)
        features = {}
        for layer, output in outputs.items():
            rows = pool_features(output, self.plan.pool, self.plan.backbone.prefix_tokens)
            if views > 1:
                rows = rows.view(len(batch.rows), views, -1)
            features[layer] = rows.cpu().numpy()
        return features


def _blocks(pending: IntArray, batch_size: int) -> Iterator[IntArray]:
    """Yield pending rows in blocks aligned to `batch_size`.

    Aligned, so that a resumed run computes the same batches as an uninterrupted one, to the bit.
    """
    start = 0
    while start < pending.size:
        end = int(np.searchsorted(pending, (pending[start] // batch_size + 1) * batch_size))
        yield pending[start:end]
        start = end
