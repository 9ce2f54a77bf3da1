"""Extraction on one machine: threads that each take batches from files to the store.

On a CPU one thread a core carries its own batch through every stage, the net included, so
nothing waits in queues and no core idles at the end of a parallel loop. On a GPU two batches at
a time are on the device while the other threads read and decode.
"""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from itertools import cycle, islice
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from decaf.engines.batch import Batch, load_batch
from decaf.engines.forward import Forward
from decaf.engines.machine import keep_freed_memory
from decaf.engines.plan import Plan, Progress, StageSeconds, threads_of_one
from decaf.engines.stored import load_stored
from decaf.engines.windows import DenseBatch, DenseForward, image_blocks, load_dense
from decaf.errors import DataError
from decaf.types import IntArray, RowWriter


def run(
    plan: Plan,
    writer: RowWriter,
    progress: Progress,
    stop: threading.Event | None = None,
) -> StageSeconds:
    """Extract the features of every row that the writer does not have yet.

    Parameters
    ----------
    plan : Plan
        The extraction.
    writer : RowWriter
        Takes features, and reasons of failures.
    progress : callable
        Told of every finished batch.
    stop : threading.Event, optional
        Once it is set, the batches in flight are finished and no new ones begun.

    Raises
    ------
    DataError
        If more than the plan's share of images failed.
    """
    keep_freed_memory()
    return _Run(plan, writer, progress, stop or threading.Event()).finish()


@runtime_checkable
class _KnowsFiles(Protocol):
    def note_stamps(self, stamps: Mapping[int, bytes]) -> None: ...

    def note_sizes(self, sizes_px: Mapping[int, Sequence[int]]) -> None: ...


class _Run:
    """The state that the threads of one extraction share."""

    def __init__(
        self, plan: Plan, writer: RowWriter, progress: Progress, wish: threading.Event
    ) -> None:
        self.plan = plan
        self.writer = writer
        self.progress = progress
        self.seconds = StageSeconds()
        self.n_failed = 0
        self.failed_images: set[int | str] = set()
        self.wish = wish
        self.stop = threading.Event()
        pending, size = writer.pending(), plan.batch_size
        self._blocks = (
            (pending[first : first + size] for first in range(0, len(pending), size))
            if plan.dense is None
            else image_blocks(pending, plan.dataset.image_ids)
        )
        self._taking = threading.Lock()
        self._writing = threading.Lock()
        forward = Forward if plan.dense is None else DenseForward
        nets = [forward(plan, net) for net in (plan.backbone, *plan.replicas)]
        self._devices = cycle(nets)

    def finish(self) -> StageSeconds:
        """Work until no block is left; finish the blocks in flight before an error leaves."""
        if self.plan.workers == 0:
            self._drain(next(self._devices))
            return self.seconds
        n_threads = torch.get_num_threads()
        share = threads_of_one(self.plan)
        try:
            with ThreadPoolExecutor(
                self.plan.workers, initializer=torch.set_num_threads, initargs=(share,)
            ) as pool:
                futures = [
                    pool.submit(self._drain, net)
                    for net in islice(self._devices, self.plan.workers)
                ]
                try:
                    wait(futures, return_when=FIRST_EXCEPTION)
                finally:
                    self.stop.set()
            for future in futures:
                future.result()
        finally:
            torch.set_num_threads(n_threads)
        return self.seconds

    def _drain(self, net: Any) -> None:
        while not (self.stop.is_set() or self.wish.is_set()):
            with self._taking:
                block = next(self._blocks, None)
            if block is None:
                return
            self._carry(net, block)

    def _carry(self, net: Any, rows: IntArray) -> None:
        """Take rows from file to store."""
        batch = self._load(rows.tolist(), net)
        features = net.features(batch)
        with self._writing:
            start = perf_counter()
            if isinstance(self.writer, _KnowsFiles):
                self.writer.note_stamps(batch.stamps)
                self.writer.note_sizes(batch.sizes_px)
            if batch.rows:
                self.writer.write(np.array(batch.rows), features, batch.sha256)
            for row, reason in batch.failures:
                self.writer.fail(row, reason)
                self.failed_images.add(self.plan.image_of(row))
            batch.seconds.write = perf_counter() - start
            self.n_failed += len(batch.failures)
            self.seconds.add(batch.seconds)
            self.progress(len(batch.rows) + len(batch.failures), self.n_failed)
        if batch.failures:
            row, reason = batch.failures[-1]
            last = f"the last one: {self.plan.dataset.image_ids[row]} ({reason})"
            refuse_failures(self.plan, len(self.failed_images), last)

    def _load(self, rows: list[int], net: Any) -> Batch | DenseBatch:
        if self.plan.start is not None:
            return load_stored(self.plan, rows)
        if self.plan.dense is not None:
            return load_dense(self.plan, rows)
        return load_batch(self.plan, rows, net.device)


def refuse_failures(plan: Plan, n_failed: int, more: str) -> None:
    """Raise DataError where more images failed than the plan allows; `more` says which."""
    if n_failed <= plan.max_failures * plan.n_images:
        return
    raise DataError(
        f"{n_failed} of {plan.n_images} images cannot be used, more than the share of "
        f"{plan.max_failures:g} that --max-failures allows; {more}"
    )
