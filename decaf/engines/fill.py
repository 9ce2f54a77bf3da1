"""A plan's features into its store, with what there is to say while it runs."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import torch

from decaf.engines.fresh import Found, replaced_rows
from decaf.engines.grow import take_over
from decaf.engines.local import run
from decaf.engines.machine import n_cores
from decaf.engines.plan import Plan, StageSeconds
from decaf.engines.planning import n_features
from decaf.engines.signals import StopWish, stop_on_signals
from decaf.errors import StoreError
from decaf.images.views import n_views
from decaf.progress import log, show_progress
from decaf.store import FeatureWriter, Provenance


def fill(
    path: Path,
    plan: Plan,
    asked: Provenance,
    *,
    found: Found | None = None,
    quiet: bool = False,
) -> Path:
    """Extract what a store misses, and complete it.

    On SIGINT or SIGTERM the batches in flight are finished and written first.

    Parameters
    ----------
    path : pathlib.Path
        The store; taken up again where it was begun.
    plan : Plan
        The extraction.
    asked : Provenance
        What decides its features' values.
    found : Found, optional
        Whose donors' rows are taken over.
    quiet : bool
        Print neither progress nor the closing line.

    Raises
    ------
    DataError
        If too many images cannot be used.
    StoreError
        If the store cannot be written.
    KeyboardInterrupt
        If a signal stopped it; the rows that are done are safe.
    """
    start = perf_counter()
    sizes = n_features(plan)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"asked to write {path}, cannot make its folder: {error}") from error
    with (
        stop_on_signals() as stop,
        FeatureWriter(path, asked, plan.dataset, sizes, n_views(plan.view)) as writer,
    ):
        if (n_done := asked.n_rows - writer.pending().size) > 0:
            writer.redo(replaced_rows(path, plan.dataset))
            n_done = asked.n_rows - writer.pending().size
        if 0 < n_done < asked.n_rows:
            _say(quiet, f"resuming {path}: {n_done} of {asked.n_rows} rows are done")
        n_taken = 0
        if found is not None and found.contents is not None:
            n_taken = take_over(writer, found.donors, found.contents, stop)
        n_pending = writer.pending().size
        with show_progress("extracting", n_pending, "images", quiet=quiet) as advance:
            seconds = run(replace(plan, even=True), writer, advance, stop)
        n_left = writer.pending().size
        if n_left:
            raise _stopped(stop, path, asked.n_rows - n_left, asked.n_rows)
        n_failed = writer.n_failed
        store = writer.finish()
    said = [closing_line(plan, n_pending, perf_counter() - start, seconds)] if n_pending else []
    said += [f"{n_taken} rows taken over, {n_pending} computed"] if n_taken else []
    if said:
        _say(quiet, "; ".join(said))
    if n_failed:
        _say(quiet, f"{n_failed} images could not be used; see {store.stem}.failures.csv")
    return store


def _stopped(stop: StopWish, path: Path, n_done: int, n_rows: int) -> KeyboardInterrupt:
    message = (
        f"stopped by {stop.reason}: {n_done} of {n_rows} rows are safe in {path}.part; "
        "run the same command again to go on"
    )
    log(message)
    return KeyboardInterrupt(message)


def closing_line(plan: Plan, n_images: int, wall_s: float, seconds: StageSeconds) -> str:
    """Return what a run did: its rate, the seconds of each stage, and the bound.

    Parameters
    ----------
    plan : Plan
        The extraction.
    n_images : int
        Number of images that were worked on.
    wall_s : float
        Seconds from start to end.
    seconds : StageSeconds
        What `run` returned.
    """
    device = plan.backbone.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{n_cores()} cores"
    if plan.replicas:
        where = f"{1 + len(plan.replicas)} x {where}"
    rate, bound = n_images / wall_s, seconds.bound(n_images, plan)
    return (
        f"{n_images} images in {wall_s:.1f} s ({rate:.0f} images/s) on {device.type} "
        f"({where}, {plan.backbone.precision}); seconds over {max(plan.workers, 1)} threads: "
        f"reading {seconds.read:.1f}, decoding {seconds.decode:.1f}, cropping {seconds.view:.1f}, "
        f"net {seconds.net:.1f}, writing {seconds.write:.1f}; "
        f"bound {bound:.0f} images/s, reached {rate / bound:.2f} of it"
    )


def _say(quiet: bool, message: str) -> None:
    if not quiet:
        log(message)
