"""Extraction on one machine: threads that each take batches from files to the store.

On a CPU one thread a core carries its own batch through every stage, the net included, so
nothing waits in queues and no core idles at the end of a parallel loop. On a GPU two batches at
a time are on the device while the other threads read and decode. Several nets share what is read
and decoded.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import cycle, islice
from time import perf_counter
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from decaf.engines.batch import Batch, load_batches
from decaf.engines.forward import Forward, n_filled
from decaf.engines.plan import N_ON_GPU, Plan, Progress, StageSeconds, threads_of_one
from decaf.engines.region_pass import RegionBatch, RoiForward, load_regions, region_blocks
from decaf.engines.stored import load_stored
from decaf.engines.windows import DenseBatch, DenseForward, image_blocks, load_dense
from decaf.errors import DataError
from decaf.machine import n_cores
from decaf.process import keep_freed_memory
from decaf.types import IntArray, RowWriter


def run(
    plan: Plan,
    writer: RowWriter,
    progress: Progress,
    stop: threading.Event | None = None,
) -> StageSeconds:
    """Extract the features of every row that the writer does not have yet; see `run_together`."""
    return run_together([(plan, writer)], progress, stop)


def run_together(
    nets: Sequence[tuple[Plan, RowWriter]],
    progress: Progress,
    stop: threading.Event | None = None,
) -> StageSeconds:
    """Extract what each writer does not have yet, from one pass over the images.

    Parameters
    ----------
    nets : sequence of (Plan, RowWriter)
        Extractions of one table, alike but for net, layers and batch size; only of one net do
        they start at stored maps or make dense patches. Writers take features, and reasons of
        failures.
    progress : callable
        Told of every finished batch.
    stop : threading.Event, optional
        Once it is set, the batches in flight are finished and no new ones begun.

    Returns
    -------
    StageSeconds
        Added over threads and nets.

    Raises
    ------
    DataError
        If more than the plan's share of images failed.
    """
    keep_freed_memory()
    return _Run(nets, progress, stop or threading.Event()).finish()


@runtime_checkable
class _KnowsFiles(Protocol):
    def note_stamps(self, stamps: Mapping[int, bytes]) -> None: ...

    def note_sizes(self, sizes_px: Mapping[int, Sequence[int]]) -> None: ...


@dataclass(frozen=True)
class _Device:
    """The nets on one device, and how many batches are in them at once."""

    nets: Sequence[Any]
    turns: threading.Semaphore


class _Run:
    """The state that the threads of one extraction share."""

    def __init__(
        self,
        nets: Sequence[tuple[Plan, RowWriter]],
        progress: Progress,
        wish: threading.Event,
    ) -> None:
        self.plans = [plan for plan, _ in nets]
        self.plan = self.plans[0]
        self.writers = [writer for _, writer in nets]
        self.progress = progress
        self.seconds = StageSeconds()
        self.failed_rows: set[int] = set()
        self.failed_images: set[int | str] = set()
        self.wish = wish
        self.stop = threading.Event()
        self.pending = np.zeros((len(nets), len(self.plan.dataset.image_ids)), bool)
        for pending, writer in zip(self.pending, self.writers, strict=True):
            pending[writer.pending()] = True
        self._blocks = self._split(np.flatnonzero(self.pending.any(0)))
        self._taking = threading.Lock()
        self._writing = threading.Lock()
        self._devices = cycle(_devices(self.plans))

    def _split(self, pending: IntArray) -> Iterator[IntArray]:
        if self.plan.dense is not None:
            return image_blocks(pending, self.plan.dataset.image_ids)
        if self.plan.regions is not None and self.plan.start is None:
            return region_blocks(self.plan, pending)
        size = max(plan.batch_size for plan in self.plans)
        return even_blocks(pending, size, max(map(n_filled, self.plans)), self.plan.workers)

    def finish(self) -> StageSeconds:
        """Work until no block is left; finish the blocks in flight before an error leaves."""
        if self.plan.workers == 0:
            self._drain(next(self._devices))
            return self.seconds
        n_threads = torch.get_num_threads()
        share = threads_of_one(self.plan)
        try:
            with (
                threadpool_limits(share),  # of NumPy's libraries
                ThreadPoolExecutor(
                    self.plan.workers, initializer=torch.set_num_threads, initargs=(share,)
                ) as pool,
            ):
                futures = [
                    pool.submit(self._drain, device)
                    for device in islice(self._devices, self.plan.workers)
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

    def _drain(self, device: _Device) -> None:
        while not (self.stop.is_set() or self.wish.is_set()):
            with self._taking:
                block = next(self._blocks, None)
            if block is None:
                return
            self._carry(device, block)

    def _carry(self, device: _Device, rows: IntArray) -> None:
        """Take rows from file to stores."""
        batches = self._load(rows, device.nets[0])
        seconds = batches[0].seconds
        for net, writer, batch in zip(device.nets, self.writers, batches, strict=True):
            with device.turns:
                features = net.features(batch)
            with self._writing:
                start = perf_counter()
                if isinstance(writer, _KnowsFiles):
                    writer.note_stamps(batch.stamps)
                    writer.note_sizes(batch.sizes_px)
                if batch.rows:
                    writer.write(np.array(batch.rows), features, batch.sha256)
                for row, reason in batch.failures:
                    writer.fail(row, reason)
                seconds.write += perf_counter() - start
        failures = [failure for batch in batches for failure in batch.failures]
        with self._writing:
            self.failed_rows.update(row for row, _ in failures)
            self.failed_images.update(self.plan.image_of(row) for row, _ in failures)
            self.seconds.add(seconds)
            self.progress(len(rows), len(self.failed_rows))
        if failures:
            row, reason = failures[-1]
            last = f"the last one: {self.plan.dataset.image_ids[row]} ({reason})"
            refuse_failures(self.plan, len(self.failed_images), last)

    def _load(self, rows: IntArray, net: Any) -> Sequence[Batch | DenseBatch | RegionBatch]:
        if self.plan.start is not None:
            return [load_stored(self.plan, rows.tolist())]
        if self.plan.dense is not None:
            return [load_dense(self.plan, rows.tolist())]
        if self.plan.regions is not None:
            return [load_regions(self.plan, rows.tolist())]
        wanted = [rows[pending[rows]].tolist() for pending in self.pending]
        return load_batches(list(zip(self.plans, wanted, strict=True)), net.device)


def _devices(plans: Sequence[Plan]) -> list[_Device]:
    """Return the nets on each device, which all plans have in common."""
    plan = plans[0]
    on_cpu = plan.backbone.device.type == "cpu"
    at_once = min(max(plan.workers, 1), n_cores()) if on_cpu else N_ON_GPU
    on_each = zip(*((one.backbone, *one.replicas) for one in plans), strict=True)
    return [
        _Device(
            [_forward(one)(one, net) for one, net in zip(plans, nets, strict=True)],
            threading.Semaphore(at_once),
        )
        for nets in on_each
    ]


def _forward(plan: Plan) -> Any:
    if plan.dense is not None:
        return DenseForward
    pooled = plan.regions is not None and plan.regions.route == "roi" and plan.start is None
    return RoiForward if pooled else Forward


def even_blocks(rows: IntArray, most: int, step: int, n_threads: int) -> Iterator[IntArray]:
    """Yield rows in blocks alike, as many for each thread, so that none waits for another's end.

    Parameters
    ----------
    rows : numpy.ndarray
        ``(n_rows,)`` numbers.
    most : int
        Rows of a block at most.
    step : int
        All blocks but the last one are multiples of it, or of `most` if that is less.
    n_threads : int
        That take the blocks; 0 is the calling one.
    """
    step, n_threads = min(step, most), max(n_threads, 1)
    starts, most = np.arange(0, len(rows), step), most - most % step
    n_blocks = n_threads * -(-len(rows) // (most * n_threads))
    for some in np.array_split(starts, max(1, min(n_blocks, len(starts)))):
        if len(some):
            yield rows[some[0] : some[-1] + step]


def refuse_failures(plan: Plan, n_failed: int, more: str) -> None:
    """Raise DataError where more images failed than the plan allows; `more` says which."""
    if n_failed <= plan.max_failures * plan.n_images:
        return
    raise DataError(
        f"{n_failed} of {plan.n_images} images cannot be used, more than the share of "
        f"{plan.max_failures:g} that --max-failures allows; {more}"
    )
