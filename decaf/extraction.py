"""Images to features: `extract` fills a store and returns its path."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from decaf.backbones import TorchBackbone, load_everywhere
from decaf.choices import Box, Dtype, Engine, PatchEdges, Pixels, Pool, Precision, View, checked
from decaf.datasets import load_dataset, slice_rows
from decaf.datasets.objects import load_objects
from decaf.engines import (
    Found,
    Plan,
    as_patches,
    fill,
    fill_with_ray,
    find_fresh,
    find_start,
    make_plan,
    n_cores,
    n_features,
    provenance,
    shard_rows,
    tuned,
)
from decaf.errors import ConfigError, StoreError
from decaf.images.patches import patch_options
from decaf.progress import log
from decaf.store import Provenance, reopen, store_name
from decaf.types import PATCH_VIEWS, ImageDataset, PatchRule

__all__ = ["extract", "make_plan", "n_features", "provenance"]


@checked
def extract(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layers: str | Sequence[str] | None = None,
    pool: Pool = "none",
    views: View = "center",
    box: Box = "none",
    box_scale: float = 1.5,
    patch_scales: str | Sequence[float] | None = None,
    patches_per_image: int | None = None,
    patch_edges: PatchEdges | None = None,
    out: str | Path = "features",
    device: str = "auto",
    precision: Precision = "fp32",
    dtype: Dtype = "float32",
    pixels: Pixels = "auto",
    batch_size: int | str | None = None,
    workers: int | None = None,
    limit: int | None = None,
    shard: str | None = None,
    engine: Engine = "local",
    num_workers: int | None = None,
    address: str | None = None,
    data_root: str | Path = "data",
    allow_partial: bool = False,
    max_failures: float = 0.05,
    seed: int = 0,
    allow_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Extract layers of a net for every image of a data set into a feature store.

    A run that was stopped goes on where it was. A store that holds what is asked is returned
    as it is.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, tar archives, a CSV manifest, or a table;
        see `decaf.datasets.load_dataset`.
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
        ``center``, ``warp``, ``squash``, ``ten-crop`` or ``razavian-16``; ``patches`` makes a row
        of each square patch, labelled by the objects that it shows where the data set has boxes;
        ``dense`` the same, from one pass over the larger image for each scale.
    box : str
        ``none``: views of whole images; ``crop``: of the data set's boxes.
    box_scale : float
        With ``crop``, factor for a box's width and height about its centre.
    patch_scales : str or sequence of float, optional
        With patches, widths: the shorter side of the image divided by each; the eight of Oquab
        et al. (2014) if not given.
    patches_per_image : int, optional
        At most so many of an image, evenly spaced; all if not given.
    patch_edges : str, optional
        ``clip`` (the default): patches lie within the image; ``reflect``: they reach beyond its
        edges, mirrored.
    out : str or pathlib.Path
        Path of the store (``.h5``), or a folder for a store named after its digest.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:N``, or ``cuda:all`` for all GPUs of the machine.
    precision : str
        ``fp32``, ``bf16``, ``fp16`` or ``auto`` (bf16 where the device computes in it): what
        the net computes in.
    dtype : str
        ``float32`` or ``float16``: what is stored.
    pixels : str
        ``auto`` (the fastest decoder that is bit-identical to Pillow), ``pillow``, or ``gpu``
        (nvJPEG, and resizing on the GPU: faster, and slightly other pixels).
    batch_size : int or str, optional
        Images in one forward pass; 32 on a CPU and 256 on a GPU if not given; ``auto`` tries
        which one is the fastest within the memory. Where the memory does not suffice, a pass is
        halved.
    workers : int, optional
        Threads; one a core if not given, 0 for none beside the caller's.
    limit : int, optional
        Take only so many images, evenly spaced.
    shard : str, optional
        ``I/N``: only the I-th of N even parts of the images, into a file of its own;
        `decaf.store.join` makes one store of all.
    engine : str
        ``local``: the threads of this process; ``ray``: actors of a Ray cluster, which fill shards
        beside the store (extra ``ray``).
    num_workers : int, optional
        With ``ray``, number of actors; one for each core or GPU of this machine if not given.
    address : str, optional
        With ``ray``, the cluster's address; a cluster on this machine is started if not given.
    data_root : str or pathlib.Path
        Folder that holds the named data sets.
    allow_partial : bool
        Accept a named data set with fewer images than published; results are marked.
    max_failures : float
        Share of the images that may be unusable before the run fails.
    seed : int
        Seed of random weights.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    quiet : bool
        Print neither progress nor the closing line.

    Returns
    -------
    pathlib.Path
        The complete store. Images that could not be used are listed in
        ``<store>.failures.csv`` beside it; their rows are not marked as done.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the data set is missing or malformed, or too many of its images are.
    BackboneError
        If the net, its weights or a layer is not usable.
    StoreError
        If the store cannot be written, or another one stands at its path.
    KeyboardInterrupt
        If Ctrl-C or SIGTERM stopped the run; the same call goes on where it was.

    Notes
    -----
    Where ``pool5`` of the same images, made with the same settings, is in the folder, ``fc6``
    and ``fc7`` are computed from it, to the same bits, and no image is read.

    Where stores of other images, made with the same settings, are in the folder, rows of images
    with the same content are taken over, whatever their names and labels, and only the others are
    computed: to the same bits on a CPU, with the same batch size and threads.
    """
    on_ray = _checked_engine(engine, backbone, shard, (num_workers, address)) == "ray"
    table = load_dataset(dataset, Path(data_root), allow_partial=allow_partial, limit=limit)
    loading: dict[str, Any] = {
        "name": backbone,
        "weights": weights,
        "device": device,
        "precision": precision,
        "seed": seed,
        "allow_code": allow_code,
    }
    net, *replicas = load_everywhere(**loading)
    rule = patch_rule(views, patch_scales, patches_per_image, patch_edges)
    boxes: dict[str, Any] = {"view": views, "box": box, "box_scale": box_scale}
    if rule is not None:
        if box != "none":
            raise ConfigError(f"asked for {views} of boxes; give one of --views {views} and --box")
        table, boxes = as_patches(
            table, net, layers, view=views, rule=rule, objects=load_objects(table)
        )
    plan = make_plan(
        table,
        net,
        layers=layers,
        pool=pool,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
        replicas=replicas,
        **boxes,
    )
    asked = provenance(plan, dtype)
    if shard is not None:
        rows = shard_rows(shard, asked.n_images)
        asked = replace(asked, rows=rows)
        plan = replace(plan, dataset=slice_rows(table, slice(*rows)))
    path, found = Path(out), find_fresh(Path(out), asked, plan.dataset, growing=not on_ray)
    if found.path is not None and not (found.n_again and _reopened(found, quiet=quiet)):
        _say(quiet, f"found {found.path}, which holds these features")
        return found.path
    path, plan, asked = _to_fill(path, plan, asked, found)
    if found.donors:
        n_rows = sum(len(donor.here) for donor in found.donors)
        names = ", ".join(str(donor.path) for donor in found.donors)
        _say(quiet, f"{n_rows} of {asked.n_rows} rows are of images in {names}; taking them over")
    if on_ray:
        actors = num_workers or (n_cores() if net.device.type == "cpu" else 1 + len(replicas))
        loading |= {"device": net.device.type, "precision": net.precision}
        return fill_with_ray(
            path, plan, asked, loading, num_workers=actors, address=address, quiet=quiet
        )
    start = find_start(path.parent, plan, asked)
    if start is not None:
        _say(quiet, f"found {start.layer} in {start.store.path}; computing from it")
        with start.store:
            return fill(path, replace(plan, start=start), asked, found=found, quiet=quiet)
    plan = tuned(plan, quiet=quiet) if batch_size == "auto" else plan
    return fill(path, plan, asked, found=found, quiet=quiet)


def patch_rule(
    view: str,
    scales: str | Sequence[float] | None = None,
    per_image: int | None = None,
    edges: str | None = None,
) -> PatchRule | None:
    """Return which patches the options of an extraction ask for; None if they ask for none.

    Raises
    ------
    ConfigError
        If they contradict each other.
    """
    options = patch_options(scales, per_image, edges)
    if view in PATCH_VIEWS:
        return PatchRule(**options)
    if options:
        raise ConfigError(f"view {view!r} has no patches; choose --views patches")
    return None


def _checked_engine(
    engine: Engine, backbone: str | TorchBackbone, shard: str | None, cluster: tuple[object, ...]
) -> str:
    if engine == "ray" and not (isinstance(backbone, str) and shard is None):
        raise ConfigError("engine 'ray' takes a backbone's name and makes shards of its own")
    if engine == "local" and cluster != (None, None):
        raise ConfigError("num_workers and address are for engine 'ray'; use workers, or that")
    return engine


def _reopened(found: Found, *, quiet: bool) -> bool:
    """Make a store an unfinished one, so that rows that failed are tried again, if that may be."""
    if found.path is None:
        return False
    try:
        reopen(found.path)
    except (OSError, StoreError) as error:
        _say(
            quiet,
            f"{found.n_again} rows of {found.path} failed and could be tried again now, but: "
            f"{error}",
        )
        return False
    _say(quiet, f"trying {found.n_again} rows again that failed in {found.path}")
    return True


def _to_fill(
    path: Path, plan: Plan, asked: Provenance, found: Found
) -> tuple[Path, Plan, Provenance]:
    """Return the store that is to be filled, and with which layers."""
    if found.path is not None:  # one that was complete has layers of its own
        layers = found.layers
        return found.path, replace(plan, layers=layers), replace(asked, layers=layers)
    if path.suffix != ".h5":
        path = _free(path / store_name(asked), found.others)
    return path, plan, asked


def _free(path: Path, taken: tuple[Path, ...]) -> Path:
    """Return a path, numbered where stores of other images have its name."""
    numbered, number = path, 1
    while numbered in taken:
        number += 1
        numbered = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return numbered


def _say(quiet: bool, message: str) -> None:
    if not quiet:
        log(message)
