"""Extraction on a Ray cluster: actors that each hold the net and fill shards, then one store.

Ray schedules, starts actors anew where they die, and hands their shards to others. A shard is a
store of its own, written as safely as any: an actor that takes up a shard another one began goes on
where that was, and a rerun does only the shards that are missing. Images and shards lie where
every machine sees them, at the same paths.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from decaf import errors
from decaf.datasets import slice_rows
from decaf.engines.contents import Contents
from decaf.engines.fresh import compare_store
from decaf.engines.local import refuse_failures
from decaf.engines.plan import Plan
from decaf.engines.ray_worker import Worker
from decaf.errors import ConfigError, DecafError
from decaf.extras import missing_extra
from decaf.machine import n_cores
from decaf.progress import log, show_progress
from decaf.store import FeatureStore, Provenance, failed_images, join, reopen
from decaf.types import ImageDataset

MIN_ROWS = 1_024
MAX_SHARDS = 4_096
_NOT_SENT = {"backbone", "replicas", "start", "dense"}


def fill_with_ray(
    path: Path,
    plan: Plan,
    asked: Provenance,
    net: Mapping[str, Any],
    *,
    num_workers: int,
    address: str | None = None,
    quiet: bool = False,
) -> Path:
    """Extract a plan into shards beside a store, on the actors of a Ray cluster, and join them.

    Parameters
    ----------
    path : pathlib.Path
        The store; the shards are made in ``<stem>.shards`` beside it and stay there.
    plan : Plan
        The extraction; its net is not sent but loaded by each actor.
    asked : Provenance
        What decides its features' values.
    net : mapping
        Arguments of `load_backbone`.
    num_workers : int
        Number of actors; each takes a GPU, or an even share of this machine's cores.
    address : str, optional
        Address of a running cluster; one is started on this machine if not given.
    quiet : bool
        Print no progress.

    Raises
    ------
    ConfigError
        If Ray is not installed, there is no cluster at the address, or fewer than one worker or
        dense patches are asked for.
    DataError
        If too many images cannot be used.
    StoreError
        If a shard or the store cannot be written.
    DecafError
        If Ray gives up.
    """
    ray = _ray()
    if num_workers < 1:
        raise ConfigError(f"num_workers is at least 1, found {num_workers}")
    if plan.dense is not None:
        raise ConfigError("asked engine 'ray' for view 'dense', which it has not; use 'patches'")
    folder = path.with_suffix(".shards").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    shards = {folder / f"{a:012d}.h5": (a, b) for a, b in parts_of(asked.n_images)}
    done = {
        x
        for x, rows in shards.items()
        if _is_complete(x, replace(asked, rows=rows), slice_rows(plan.dataset, slice(*rows)))
    }
    if done and not quiet:
        log(f"{len(done)} of {len(shards)} shards are done in {folder}")
    missing: list[dict[str, Any]] = [
        {"path": str(x), "first": a, "end": b} for x, (a, b) in shards.items() if x not in done
    ]
    if missing:
        n_rows = sum(shard["end"] - shard["first"] for shard in missing)
        failed = set().union(*map(failed_images, done))
        with (
            _cluster(ray, address, quiet=quiet),
            show_progress("extracting", n_rows, "images", quiet=quiet) as advance,
        ):
            for filled in _filled(ray, missing, plan, asked, net=net, num_workers=num_workers):
                if filled["error"]:
                    raise getattr(errors, filled["kind"])(filled["error"])
                failed.update(filled["failed"])
                advance(int(filled["n_rows"]), len(failed))
                refuse_failures(plan, len(failed), f"see the .failures.csv files in {folder}")
    return join(list(shards), path)


def parts_of(n_images: int) -> list[tuple[int, int]]:
    """Return the first row and the end of each shard: the same whatever the number of workers."""
    step = max(MIN_ROWS, -(-n_images // MAX_SHARDS))
    return [(a, min(a + step, n_images)) for a in range(0, n_images, step)]


def _filled(
    ray: Any,
    missing: list[dict[str, Any]],
    plan: Plan,
    asked: Provenance,
    *,
    net: Mapping[str, Any],
    num_workers: int,
) -> Iterator[dict[str, Any]]:
    """Yield what actors say of each shard, in the order in which they are filled."""
    on_gpu = plan.backbone.device.type == "cuda"
    cores = max(1, n_cores() // num_workers)
    # what an actor cannot be sent is loaded there; failures are counted over all shards
    recipe = {
        one.name: getattr(plan, one.name) for one in fields(plan) if one.name not in _NOT_SENT
    }
    recipe |= {"workers": cores, "max_failures": 1.0}
    rows = (
        ray.data.from_items(missing, override_num_blocks=len(missing))
        .map(
            Worker,
            fn_constructor_args=(recipe, asked, dict(net)),
            compute=ray.data.ActorPoolStrategy(size=min(num_workers, len(missing))),
            num_cpus=0 if on_gpu else cores,
            num_gpus=1 if on_gpu else 0,
        )
        .iter_rows()
    )
    yield from rows


@contextmanager
def _cluster(ray: Any, address: str | None, *, quiet: bool) -> Iterator[None]:
    """Join a cluster, or start one here, for as long as it is needed; speak for its errors."""
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(
                address=address,
                include_dashboard=False,
                logging_level=logging.ERROR,
                log_to_driver=not quiet,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"asked for the Ray cluster at {address or 'this machine'}, found {error}; start "
                "one with `ray start --head`, or leave the address out"
            ) from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        yield
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise DecafError(
            f"asked Ray to extract, found that it gave up: {reason}; finished shards are safe, run "
            "the same command again to go on"
        ) from error
    finally:
        if started:
            ray.shutdown()


def _is_complete(path: Path, asked: Provenance, dataset: ImageDataset) -> bool:
    """Return whether a shard needs no work; it is made an unfinished one where it does."""
    if not path.exists():
        return False
    with FeatureStore(path) as store:
        if not store.provenance.covers(asked):
            return False
    found = compare_store(path, Contents(dataset))
    if not (len(found.changed) or len(found.again)):
        return True
    reopen(path)
    return False


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.data  # noqa: PLC0415 - part of the same extra
    except ImportError as error:
        raise missing_extra("engine 'ray'", "ray") from error
    return ray
