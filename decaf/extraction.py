"""Pictures to features: `extract` fills a store and returns its path."""

import importlib.metadata
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import get_args

import torch

from decaf.backbones import (
    TorchBackbone,
    check_pool,
    load_backbone,
    pool_features,
)
from decaf.datasets import dataset_digest, load_dataset, slice_rows
from decaf.engines import Plan, StageSeconds, n_cores, run
from decaf.errors import ConfigError, StoreError
from decaf.images.decode import PIXEL_POLICY, Pixels
from decaf.images.views import n_views
from decaf.progress import log, show_progress
from decaf.store import FeatureStore, FeatureWriter, Provenance, find_store, store_name
from decaf.types import ImageDataset

_LIBRARIES = ("torch", "torchvision", "torchcodec", "pillow")
_BATCH_SIZE = {"cpu": 32, "cuda": 256}  # small batches stay in a core's cache


def extract(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layers: str | Sequence[str] | None = None,
    pool: str = "none",
    views: str = "center",
    box: str = "none",
    box_scale: float = 1.5,
    out: str | Path = "features",
    device: str = "auto",
    precision: str = "fp32",
    dtype: str = "float32",
    pixels: Pixels = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    shard: str | None = None,
    data_root: str | Path = "data",
    allow_partial: bool = False,
    max_failures: float = 0.05,
    seed: int = 0,
    allow_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Extract layers of a net for every picture of a data set into a feature store.

    A run that was stopped goes on where it was. A store that holds what is asked is returned
    as it is.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, a CSV manifest, or a table.
    backbone : str or TorchBackbone
        Name of the net, or a loaded net (`weights`, `device`, `precision` are then its own).
    weights : str
        ``imagenet``, ``random``, one of torchvision's entries, or a file's path.
    layers : str or sequence of str, optional
        Canonical or dotted names, comma-separated if one string; the net's own among
        ``pool5,fc6,fc7`` if not given.
    pool : str
        ``none``, ``avg``, ``max`` or ``grid:N``: how maps become vectors; ``cls`` or ``mean``:
        which of a transformer's tokens.
    views : str
        ``center``, ``warp``, ``squash``, ``ten-crop`` or ``razavian-16``.
    box : str
        ``none``: views of whole pictures; ``crop``: of the data set's boxes.
    box_scale : float
        With ``crop``, factor for a box's width and height about its centre.
    out : str or pathlib.Path
        Path of the store (``.h5``), or a folder for a store named after its digest.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16``, ``fp16`` or ``auto`` (bf16 where the device computes in it): what
        the net computes in.
    dtype : str
        ``float32`` or ``float16``: what is stored.
    pixels : str
        ``auto`` (the fastest decoder that is bit-identical to Pillow) or ``pillow``.
    batch_size : int, optional
        Pictures in one forward pass; 32 on a CPU and 256 on a GPU if not given.
    workers : int, optional
        Threads; one a core if not given, 0 for none beside the caller's.
    limit : int, optional
        Take only so many pictures, evenly spaced.
    shard : str, optional
        ``I/N``: only the I-th of N even parts of the pictures, into a file of its own;
        `decaf.store.join` makes one store of all.
    data_root : str or pathlib.Path
        Folder that holds the named data sets.
    allow_partial : bool
        Accept a named data set with fewer pictures than published; results are marked.
    max_failures : float
        Share of the pictures that may be unusable before the run fails.
    seed : int
        Seed of random weights.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    quiet : bool
        Print neither progress nor the closing line.

    Returns
    -------
    pathlib.Path
        The complete store. Pictures that could not be used are listed in
        ``<store>.failures.csv`` beside it; their rows are not marked as done.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the data set is missing or malformed, or too many of its pictures are.
    BackboneError
        If the net, its weights or a layer is not usable.
    StoreError
        If the store cannot be written, or another one stands at its path.
    """
    _check_choice("dtype", dtype, ("float32", "float16"))
    if isinstance(dataset, ImageDataset):
        table = dataset
    else:
        table = load_dataset(
            str(dataset), Path(data_root), allow_partial=allow_partial, limit=limit
        )
    if isinstance(backbone, str):
        net = load_backbone(
            backbone,
            weights=weights,
            device=device,
            precision=precision,
            seed=seed,
            allow_code=allow_code,
        )
    else:
        net = backbone
    plan = make_plan(
        table,
        net,
        layers=layers,
        pool=pool,
        view=views,
        box=box,
        box_scale=box_scale,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
    )
    asked = provenance(plan, dtype)
    if shard is not None:
        asked = replace(asked, rows=shard_rows(shard, asked.n_images))
        plan = replace(plan, dataset=slice_rows(table, slice(*asked.rows)))
    path = Path(out)
    found = _covering(path, asked) if path.suffix == ".h5" else find_store(path, asked)
    if found is not None:
        _say(quiet, f"found {found}, which holds these features")
        return found
    if path.suffix != ".h5":
        path = path / store_name(asked)
    return _fill(path, plan, asked, quiet=quiet)


def shard_rows(shard: str, n_images: int) -> tuple[int, int]:
    """Return the first row and the end of the I-th of N parts, whose sizes differ by one at most.

    Parameters
    ----------
    shard : str
        ``I/N``, counted from 1.
    n_images : int
        Number of rows of the whole.

    Raises
    ------
    ConfigError
        If it is not of this form, or the part would be empty.
    """
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", shard)
    number, total = map(int, found.groups()) if found else (0, 0)
    if not 1 <= number <= total:
        raise ConfigError(f"asked for shard {shard!r}; give I/N with I from 1 to N, such as 1/4")
    if total > n_images:
        raise ConfigError(f"asked for {total} shards of {n_images} pictures; give fewer")
    return (number - 1) * n_images // total, number * n_images // total


def _covering(path: Path, asked: Provenance) -> Path | None:
    if not path.exists():
        return None
    with FeatureStore(path) as store:
        return path if store.provenance.covers(asked) else None


def _fill(path: Path, plan: Plan, asked: Provenance, *, quiet: bool) -> Path:
    start = perf_counter()
    sizes = n_features(plan)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"asked to write {path}, cannot make its folder: {error}") from error
    with FeatureWriter(path, asked, plan.dataset, sizes, n_views(plan.view)) as writer:
        n_pending, n_images = writer.pending().size, asked.n_rows
        if 0 < n_pending < n_images:
            _say(quiet, f"resuming {path}: {n_images - n_pending} of {n_images} rows are done")
        with show_progress("extracting", n_pending, "images", quiet=quiet) as advance:
            seconds = run(plan, writer, advance)
        n_failed = writer.n_failed
        store = writer.finish()
    if n_pending:
        _say(quiet, _closing_line(plan, n_pending, perf_counter() - start, seconds))
    if n_failed:
        _say(quiet, f"{n_failed} pictures could not be used; see {store.stem}.failures.csv")
    return store


def make_plan(
    table: ImageDataset,
    net: TorchBackbone,
    *,
    layers: str | Sequence[str] | None = None,
    pool: str = "none",
    view: str = "center",
    box: str = "none",
    box_scale: float = 1.5,
    pixels: Pixels = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    max_failures: float = 0.05,
) -> Plan:
    """Check the options of an extraction and fill in what was not given; see `extract`.

    Raises
    ------
    ConfigError
        If an option is wrong.
    """
    check_pool(pool)
    n_views(view)
    _check_choice("pixels", pixels, get_args(Pixels))
    _check_choice("box", box, ("none", "crop"))
    if box == "crop" and table.boxes is None:
        raise ConfigError(f"box 'crop' was asked of {table.name}, which has no boxes; use 'none'")
    if not box_scale > 0:
        raise ConfigError(f"box_scale is above 0, found {box_scale:g}")
    if not 0 <= max_failures <= 1:
        raise ConfigError(f"max_failures is a share from 0 to 1, found {max_failures:g}")
    _check_at_least("batch_size", batch_size, 1)
    _check_at_least("workers", workers, 0)
    if layers is None:
        layers = net.default_layers
        if not layers:
            msg = (
                f"asked for features of {net.name} without naming layers; it has no canonical "
                "ones; give layers from `decaf layers`"
            )
            raise ConfigError(msg)
    elif isinstance(layers, str):
        layers = [layer.strip() for layer in layers.split(",")]
    return Plan(
        dataset=table,
        backbone=net,
        layers=tuple(dict.fromkeys(layers)),
        pool=pool,
        view=view,
        pixels=pixels,
        batch_size=batch_size or _BATCH_SIZE[net.device.type],
        workers=n_cores() if workers is None else workers,
        max_failures=max_failures,
        box_scale=box_scale if box == "crop" else None,
    )


def _check_choice(what: str, asked: str, choices: Sequence[str]) -> None:
    if asked not in choices:
        raise ConfigError(f"unknown {what} {asked!r}; choose one of: {', '.join(choices)}")


def _check_at_least(what: str, asked: int | None, least: int) -> None:
    if asked is not None and asked < least:
        raise ConfigError(f"{what} is at least {least}, found {asked}")


def n_features(plan: Plan) -> dict[str, int]:
    """Return the number of features of each layer of a plan, after pooling."""
    return {
        layer: pool_features(
            torch.empty(1, *plan.backbone.shape(layer), device="meta"),
            plan.pool,
            plan.backbone.prefix_tokens,
        ).shape[1]
        for layer in plan.layers
    }


def provenance(plan: Plan, dtype: str) -> Provenance:
    """Return everything that decides the values that a plan stores."""
    whole = plan.box_scale is None
    versions = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return Provenance(
        dataset=plan.dataset.name,
        dataset_digest=dataset_digest(plan.dataset),
        n_images=len(plan.dataset.image_ids),
        backbone=plan.backbone.name,
        weights=plan.backbone.weights,
        weights_sha256=plan.backbone.weights_sha256,
        preprocessing=plan.backbone.preprocessing,
        views=(plan.view if whole else f"{plan.view} of box x {plan.box_scale:g}",),
        layers=plan.layers,
        pooling=plan.pool,
        dtype=dtype,
        precision=plan.backbone.precision,
        pixels=f"{plan.pixels}; {'; '.join(f'{k}: {v}' for k, v in PIXEL_POLICY.items())}",
        versions=versions,
    )


def _closing_line(plan: Plan, n_images: int, wall_s: float, seconds: StageSeconds) -> str:
    device = plan.backbone.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{n_cores()} cores"
    return (
        f"{n_images} images in {wall_s:.1f} s ({n_images / wall_s:.0f} images/s) on {device.type} "
        f"({where}, {plan.backbone.precision}); seconds over {max(plan.workers, 1)} threads: "
        f"reading {seconds.read:.1f}, decoding {seconds.decode:.1f}, cropping {seconds.view:.1f}, "
        f"net {seconds.net:.1f}, writing {seconds.write:.1f}"
    )


def _say(quiet: bool, message: str) -> None:
    if not quiet:
        log(message)
