"""Extraction on a Ray cluster: actors that each hold the net and fill shards, then one store.

Ray schedules, starts actors anew where they die, and hands their shards to others. A shard is a
store of its own, written as safely as any: an actor that takes up a shard another one began goes on
where that was, and a rerun does only the shards that are missing. Pictures and shards lie where
every machine sees them, at the same paths.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from decaf.backbones import load_backbone
from decaf.datasets import slice_rows
from decaf.engines.fill import fill
from decaf.engines.machine import n_cores
from decaf.engines.plan import Plan
from decaf.errors import BackboneError, ConfigError
from decaf.progress import log, show_progress
from decaf.store import FeatureStore, Provenance, join

MIN_ROWS = 1_024
MAX_SHARDS = 4_096


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

    Returns
    -------
    pathlib.Path
        The complete store.

    Raises
    ------
    ConfigError
        If Ray is not installed, or fewer than one worker is asked for.
    StoreError
        If a shard or the store cannot be written.
    """
    ray = _ray()
    if num_workers < 1:
        raise ConfigError(f"num_workers is at least 1, found {num_workers}")
    folder = path.with_suffix(".shards")
    folder.mkdir(parents=True, exist_ok=True)
    shards = {folder / f"{a:012d}.h5": (a, b) for a, b in parts_of(asked.n_images)}
    missing = [
        {"path": str(shard.resolve()), "first": a, "end": b}
        for shard, (a, b) in shards.items()
        if not _is_complete(shard, replace(asked, rows=(a, b)))
    ]
    if len(missing) < len(shards) and not quiet:
        log(f"{len(shards) - len(missing)} of {len(shards)} shards are done in {folder}")
    if missing:
        started = not ray.is_initialized()
        if started:
            ray.init(address=address, include_dashboard=False, logging_level=logging.ERROR)
        try:
            _fill_shards(ray, missing, plan, asked, net=net, num_workers=num_workers, quiet=quiet)
        finally:
            if started:
                ray.shutdown()
    return join(list(shards), path)


def parts_of(n_images: int) -> list[tuple[int, int]]:
    """Return the first row and the end of each shard: the same whatever the number of workers."""
    step = max(MIN_ROWS, -(-n_images // MAX_SHARDS))
    return [(a, min(a + step, n_images)) for a in range(0, n_images, step)]


def _fill_shards(
    ray: Any,
    missing: list[dict[str, Any]],
    plan: Plan,
    asked: Provenance,
    *,
    net: Mapping[str, Any],
    num_workers: int,
    quiet: bool,
) -> None:
    on_gpu = plan.backbone.device.type == "cuda"
    cores = max(1, n_cores() // num_workers)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.actor_task_retry_on_errors = False  # an error of ours ends the job; a death does not
    # what an actor cannot be sent is loaded there
    recipe = {k: v for k, v in vars(plan).items() if k not in {"backbone", "replicas", "start"}}
    filled = (
        ray.data.from_items(missing, override_num_blocks=len(missing))
        .map_batches(
            _Worker,
            fn_constructor_args=(ray.put(recipe | {"workers": cores}), asked, dict(net)),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(num_workers, len(missing))),
            num_cpus=0 if on_gpu else cores,
            num_gpus=1 if on_gpu else 0,
        )
        .iter_rows()
    )
    n_images = sum(shard["end"] - shard["first"] for shard in missing)
    with show_progress("extracting", n_images, "images", quiet=quiet) as advance:
        for shard in filled:
            advance(int(shard["end"] - shard["first"]))


class _Worker:
    """An actor: the net, and the plan of the whole."""

    def __init__(self, recipe: Any, asked: Provenance, net: dict[str, Any]) -> None:
        import ray  # noqa: PLC0415 - an extra

        backbone = load_backbone(**net)
        if backbone.weights_sha256 != asked.weights_sha256:
            raise BackboneError(
                f"asked for {asked.backbone} with weights {asked.weights_sha256[:8]}, found "
                f"{backbone.weights_sha256[:8]} on this machine; put the same file on all machines"
            )
        self.plan = Plan(backbone=backbone, **ray.get(recipe))
        self.asked = asked

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for path, first, end in zip(batch["path"], batch["first"], batch["end"], strict=True):
            rows = (int(first), int(end))
            part = replace(self.plan, dataset=slice_rows(self.plan.dataset, slice(*rows)))
            fill(Path(path), part, replace(self.asked, rows=rows), quiet=True)
        return batch


def _is_complete(path: Path, asked: Provenance) -> bool:
    if not path.exists():
        return False
    with FeatureStore(path) as store:
        return store.provenance.covers(asked)


def _ray() -> Any:
    try:
        import ray  # noqa: PLC0415 - an extra
        import ray.data  # noqa: PLC0415
    except ImportError as error:
        msg = "engine 'ray' needs the extra ray; install it with `pip install 'decaf[ray]'`"
        raise ConfigError(msg) from error
    return ray
