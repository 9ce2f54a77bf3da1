"""Images to features: `extract` fills a store and returns its path."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from decaf.backbones import TorchBackbone, load_everywhere
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
from decaf.progress import log
from decaf.protocols import PublishedProtocol, domain_pair, get_protocol
from decaf.records import Cluster, Compute, Net, Overrides, Source, View, takes_records
from decaf.store import Provenance, reopen, store_name
from decaf.types import PATCH_VIEWS, ImageDataset, PatchRule

__all__ = ["extract", "make_plan", "n_features", "provenance"]


@takes_records
def extract(
    dataset: str | Path | ImageDataset,
    net: Net = Net(),
    view: View = View(),
    *,
    protocol: str | None = None,
    source: Source = Source(),
    compute: Compute = Compute(),
    cluster: Cluster = Cluster(),
    out: str | Path | None = None,
) -> Path:
    """Extract layers of a net for every image of a data set into a feature store.

    A run that was stopped goes on where it was. A store that holds what is asked is returned
    as it is.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, tar archives, a CSV manifest, or a table;
        see `decaf.load_dataset`.
    net : Net
        The net and what is taken of it. Of a loaded net weights, device and precision are its own.
    view : View
        What a row shows: ``patches`` makes a row of each square patch, labelled by the objects
        that it shows where the data set has boxes; ``dense`` the same, from one pass over the
        larger image for each scale.
    protocol : str, optional
        A protocol whose view is taken where `view` does not say; see `decaf.evaluate`.
    source : Source
        Which images.
    compute : Compute
        Where and how it runs. Where the memory does not suffice, a pass is halved.
    cluster : Cluster
        Over which machines.
    out : str or pathlib.Path, optional
        Path of the store (``.h5``), or a folder for a store named after its digest; the folder of
        `source` if not given.

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
    _check_cluster(cluster, net)
    table = source_table(dataset, source)
    view = protocol_view(table, protocol, view)
    nets = load_nets(net, compute.device)
    return extract_table(
        table, nets, net, view, source=source, compute=compute, cluster=cluster, out=out
    )


def extract_table(
    table: ImageDataset,
    nets: Sequence[TorchBackbone],
    net: Net,
    view: View,
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
    cluster: Cluster = Cluster(),
    out: str | Path | None = None,
) -> Path:
    """Extract a table of images through loaded nets; see `extract`."""
    plan = _plan(table, nets[0], net, view, source=source, compute=compute)
    plan = replace(plan, replicas=tuple(nets[1:]))
    asked = provenance(plan, net.dtype)
    if cluster.shard is not None:
        rows = shard_rows(cluster.shard, asked.n_images)
        asked = replace(asked, rows=rows)
        plan = replace(plan, dataset=slice_rows(plan.dataset, slice(*rows)))
    path, quiet = Path(source.features if out is None else out), compute.quiet
    found = find_fresh(path, asked, plan.dataset, growing=cluster.engine == "local")
    if found.path is not None and not (found.n_again and _reopened(found, quiet=quiet)):
        _say(quiet, f"found {found.path}, which holds these features")
        return found.path
    path, plan, asked = _to_fill(path, plan, asked, found)
    if found.donors:
        n_rows = sum(len(donor.here) for donor in found.donors)
        names = ", ".join(str(donor.path) for donor in found.donors)
        _say(quiet, f"{n_rows} of {asked.n_rows} rows are of images in {names}; taking them over")
    if cluster.engine == "ray":
        return _filled_by_ray(path, plan, asked, net, cluster, quiet=quiet)
    start = find_start(path.parent, plan, asked)
    if start is not None:
        _say(quiet, f"found {start.layer} in {start.store.path}; computing from it")
        with start.store:
            return fill(path, replace(plan, start=start), asked, found=found, quiet=quiet)
    plan = tuned(plan, quiet=quiet) if compute.batch_size == "auto" else plan
    return fill(path, plan, asked, found=found, quiet=quiet)


def source_table(dataset: str | Path | ImageDataset, source: Source) -> ImageDataset:
    """Return the table of a data set's images; see `decaf.load_dataset`."""
    table = load_dataset(
        dataset,
        Path(source.data_root),
        allow_partial=source.allow_partial,
        limit=source.limit,
        group_by=source.group_by,
        by_domain=source.domains is not None,
    )
    if source.domains is not None:
        domain_pair(table, source.domains)
    return table


def protocol_view(table: ImageDataset, protocol: str | None, view: View) -> View:
    """Return a view with what it leaves open as a protocol has it."""
    if protocol is None:
        return view
    return view_of(get_protocol(protocol, table, Overrides(view=view)))


def view_of(rule: PublishedProtocol) -> View:
    """Return the view of a protocol."""
    patches = rule.patches
    return View(
        rule.view,
        box=rule.box,
        box_scale=rule.box_scale if rule.box == "crop" else None,
        patch_scales=None if patches is None else patches.scales,
        patches_per_image=None if patches is None else patches.per_image,
        patch_edges=None if patches is None else patches.edges,
    )


def load_nets(net: Net, device: str) -> list[TorchBackbone]:
    """Return the net on each device that `device` means; see `decaf.load_backbone`."""
    return load_everywhere(
        net.backbone,
        weights=net.weights,
        device=device,
        precision=net.precision,
        seed=net.seed,
        allow_code=net.allow_code,
    )


def patch_rule(view: View) -> PatchRule | None:
    """Return which patches a view is of; None if it is of none.

    Raises
    ------
    ConfigError
        If its fields contradict each other.
    """
    options = view.rule()
    if view.view in PATCH_VIEWS:
        if view.box == "crop":
            raise ConfigError(
                f"asked for {view.view} of boxes; give one of --view {view.view} and --box"
            )
        return PatchRule(**options)
    if options:
        raise ConfigError(f"view {view.view!r} has no patches; choose --view patches")
    return None


def _plan(
    table: ImageDataset,
    backbone: TorchBackbone,
    net: Net,
    view: View,
    *,
    source: Source,
    compute: Compute,
) -> Plan:
    rule = patch_rule(view)
    how: dict[str, Any] = {"view": view}
    if rule is not None:
        objects = load_objects(table)
        table, how = as_patches(
            table, backbone, net, view=str(view.view), rule=rule, objects=objects
        )
    return make_plan(table, backbone, net, decoder=source.decoder, compute=compute, **how)


def _filled_by_ray(
    path: Path, plan: Plan, asked: Provenance, net: Net, cluster: Cluster, *, quiet: bool
) -> Path:
    on_cpu = plan.backbone.device.type == "cpu"
    actors = cluster.num_workers or (n_cores() if on_cpu else 1 + len(plan.replicas))
    loading = {
        "name": net.backbone,
        "weights": net.weights,
        "device": plan.backbone.device.type,
        "precision": plan.backbone.precision,
        "seed": net.seed,
        "allow_code": net.allow_code,
    }
    address = cluster.address
    return fill_with_ray(
        path, plan, asked, loading, num_workers=actors, address=address, quiet=quiet
    )


def _check_cluster(cluster: Cluster, net: Net) -> None:
    if cluster.engine == "ray" and not (isinstance(net.backbone, str) and cluster.shard is None):
        raise ConfigError("engine 'ray' takes a backbone's name and makes shards of its own")
    if cluster.engine == "local" and (cluster.num_workers, cluster.address) != (None, None):
        raise ConfigError("num_workers and address are for engine 'ray'; use workers, or that")


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
