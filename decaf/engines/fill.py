"""Features into their stores, with what there is to say while that runs."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from decaf.engines.fresh import Found, replaced_rows
from decaf.engines.grow import take_over
from decaf.engines.local import run_together
from decaf.engines.plan import Plan, StageSeconds
from decaf.engines.planning import n_features
from decaf.engines.signals import StopWish, stop_on_signals
from decaf.errors import StoreError
from decaf.images.views import n_views
from decaf.machine import n_cores
from decaf.progress import log, show_progress
from decaf.store import FeatureWriter, Provenance


@dataclass(frozen=True)
class ToFill:
    """A store that is to be filled.

    Attributes
    ----------
    path : pathlib.Path
        The store; taken up again where it was begun.
    plan : Plan
        The extraction.
    asked : Provenance
        What decides its features' values.
    found : Found or None
        Whose donors' rows are taken over.
    """

    path: Path
    plan: Plan
    asked: Provenance
    found: Found | None = None


def fill(path: Path, plan: Plan, asked: Provenance, *, quiet: bool = False) -> Path:
    """Extract what a store misses, and complete it; see `fill_together`."""
    (store,) = fill_together([ToFill(path, plan, asked)], quiet=quiet)
    return store


def fill_together(stores: Sequence[ToFill], *, quiet: bool = False) -> list[Path]:
    """Extract what some stores miss from one pass over the images, and complete them.

    On SIGINT or SIGTERM the batches in flight are finished and written first.

    Parameters
    ----------
    stores : sequence of ToFill
        Of one table of images; see `run_together`.
    quiet : bool
        Print neither progress nor the closing line.

    Raises
    ------
    DataError
        If too many images cannot be used.
    StoreError
        If a store cannot be written.
    KeyboardInterrupt
        If a signal stopped it; the rows that are done are safe.
    """
    start = perf_counter()
    sizes = [n_features(one.plan) for one in stores]  # a wrong layer leaves no folder
    with stop_on_signals() as stop, ExitStack() as opened:
        begun = [
            _begun(one, size, opened, stop, quiet=quiet)
            for one, size in zip(stores, sizes, strict=True)
        ]
        writers, taken = [writer for writer, _ in begun], sum(n_taken for _, n_taken in begun)
        n_pending = len(np.unique(np.concatenate([one.pending() for one in writers])))
        plans = [replace(one.plan, even=True) for one in stores]
        with show_progress("extracting", n_pending, "images", quiet=quiet) as advance:
            seconds = run_together(list(zip(plans, writers, strict=True)), advance, stop)
        n_left = [one.pending().size for one in writers]
        if any(n_left):
            raise _stopped(stop, stores, n_left)
        n_failed = [one.n_failed for one in writers]
        paths = [one.finish() for one in writers]
    said = [closing_line(plans, n_pending, perf_counter() - start, seconds)] if n_pending else []
    said += [f"{taken} rows taken over, {n_pending} computed"] if taken else []
    if said:
        _say(quiet, "; ".join(said))
    for path, n in zip(paths, n_failed, strict=True):
        if n:
            _say(quiet, f"{n} images could not be used; see {path.stem}.failures.csv")
    return paths


def _begun(
    store: ToFill, sizes: dict[str, int], opened: ExitStack, stop: StopWish, *, quiet: bool
) -> tuple[FeatureWriter, int]:
    """Return the writer of a store, and how many rows it took over from others."""
    path, plan, asked, found = store.path, store.plan, store.asked, store.found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"asked to write {path}, cannot make its folder: {error}") from error
    writer = opened.enter_context(
        FeatureWriter(path, asked, plan.dataset, sizes, n_views(plan.view))
    )
    if (n_done := asked.n_rows - writer.pending().size) > 0:
        writer.redo(replaced_rows(path, plan.dataset))
        n_done = asked.n_rows - writer.pending().size
    if 0 < n_done < asked.n_rows:
        _say(quiet, f"resuming {path}: {n_done} of {asked.n_rows} rows are done")
    if found is None or found.contents is None:
        return writer, 0
    return writer, take_over(writer, found.donors, found.contents, stop)


def _stopped(stop: StopWish, stores: Sequence[ToFill], n_left: Sequence[int]) -> KeyboardInterrupt:
    safe = ", ".join(
        f"{one.asked.n_rows - n} of {one.asked.n_rows} rows are safe in {one.path}.part"
        for one, n in zip(stores, n_left, strict=True)
    )
    message = f"stopped by {stop.reason}: {safe}; run the same command again to go on"
    log(message)
    return KeyboardInterrupt(message)


def closing_line(plans: Sequence[Plan], n_images: int, wall_s: float, seconds: StageSeconds) -> str:
    """Return what a run did: its rate, the seconds of each stage, and the bound.

    Parameters
    ----------
    plans : sequence of Plan
        The extraction of each net.
    n_images : int
        Number of images that were worked on.
    wall_s : float
        Seconds from start to end.
    seconds : StageSeconds
        What `run` returned.
    """
    plan, nets = plans[0], f" through {len(plans)} nets" if len(plans) > 1 else ""
    device = plan.backbone.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{n_cores()} cores"
    if plan.replicas:
        where = f"{1 + len(plan.replicas)} x {where}"
    rate, bound = n_images / wall_s, seconds.bound(n_images, plan)
    return (
        f"{n_images} images{nets} in {wall_s:.1f} s ({rate:.0f} images/s) on {device.type} "
        f"({where}, {plan.backbone.precision}); seconds over {max(plan.workers, 1)} threads: "
        f"reading {seconds.read:.1f}, decoding {seconds.decode:.1f}, cropping {seconds.view:.1f}, "
        f"net {seconds.net:.1f}, writing {seconds.write:.1f}; "
        f"bound {bound:.0f} images/s, reached {rate / bound:.2f} of it"
    )


def _say(quiet: bool, message: str) -> None:
    if not quiet:
        log(message)
