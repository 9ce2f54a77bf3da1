"""Images to features: `extract` fills a store and returns its path, `extract_nets` one a net."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from decaf.backbones import TorchBackbone, load_everywhere
from decaf.datasets import load_dataset, slice_rows
from decaf.datasets.objects import load_objects
from decaf.engines import (
    Plan,
    as_patches,
    fill_together,
    fill_with_ray,
    find_start,
    found_or_to_fill,
    make_plan,
    n_features,
    provenance,
    shard_rows,
    tuned,
)
from decaf.errors import ConfigError
from decaf.machine import n_cores
from decaf.progress import log
from decaf.protocols import PublishedProtocol, domain_pair, get_protocol
from decaf.records import Cluster, Compute, Net, Overrides, Source, View, takes_records
from decaf.several_nets import each_net
from decaf.store import Provenance
from decaf.types import PATCH_VIEWS, ImageDataset, PatchRule

__all__ = ["extract", "extract_nets", "make_plan", "n_features", "provenance"]


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
    (path,) = extract_nets(
        dataset,
        (net,),
        view,
        protocol=protocol,
        source=source,
        compute=compute,
        cluster=cluster,
        out=out,
    )
    return path


@takes_records
def extract_nets(
    dataset: str | Path | ImageDataset,
    nets: Sequence[Net],
    view: View = View(),
    *,
    protocol: str | None = None,
    source: Source = Source(),
    compute: Compute = Compute(),
    cluster: Cluster = Cluster(),
    out: str | Path | None = None,
) -> list[Path]:
    """Extract several nets from one pass over the images: each is read and decoded once.

    The stores are those that `extract` makes of each net, to the same bits on a CPU; each net
    sees the images by its own preprocessing. All nets are in memory at once.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        As for `extract`.
    nets : sequence of Net
        The nets and what is taken of each; see `decaf.several_nets.each_net`.
    view : View
        What a row shows; not ``dense``, whose patches are a net's own.
    protocol, source, compute, cluster : str, Source, Compute, Cluster
        As for `extract`; engine ``ray`` takes one net.
    out : str or pathlib.Path, optional
        A folder for the stores, named after their digests.

    Returns
    -------
    list of pathlib.Path
        The complete store of each net, with its own list of failures.

    Raises
    ------
    ConfigError
        If an option is wrong, or the nets cannot share a pass.
    DataError, BackboneError, StoreError, KeyboardInterrupt
        As `extract` does.
    """
    _check_nets(nets, cluster, source.features if out is None else out)
    table = source_table(dataset, source)
    view = protocol_view(table, protocol, view)
    if len(nets) > 1 and view.view == "dense":
        raise ConfigError(
            f"asked for {len(nets)} nets in one pass over dense patches, which each net has its "
            "own of; run it once a net"
        )
    loaded = [(net, load_nets(net, compute.device)) for net in nets]
    return _extracted(table, loaded, view, source=source, compute=compute, cluster=cluster, out=out)


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
    (path,) = _extracted(
        table, [(net, nets)], view, source=source, compute=compute, cluster=cluster, out=out
    )
    return path


def extract_plan(
    plan: Plan,
    net: Net,
    *,
    source: Source = Source(),
    compute: Compute = Compute(),
) -> Path:
    """Fill a store as a plan says, or find one that holds its features; see `extract`.

    Parameters
    ----------
    plan : Plan
        The extraction.
    net, source, compute : Net, Source, Compute
        As for `extract_table`.

    Returns
    -------
    pathlib.Path
        The complete store.
    """
    (path,) = _filled([(plan, net)], Path(source.features), compute=compute, cluster=Cluster())
    return path


def _extracted(
    table: ImageDataset,
    nets: Sequence[tuple[Net, Sequence[TorchBackbone]]],
    view: View,
    *,
    source: Source,
    compute: Compute,
    cluster: Cluster,
    out: str | Path | None,
) -> list[Path]:
    """Return the complete store of each net."""
    plans = []
    for net, (first, *others) in nets:
        plan = _plan(table, first, net, view, source=source, compute=compute)
        plans.append((replace(plan, replicas=tuple(others)), net))
    folder = Path(source.features if out is None else out)
    return _filled(plans, folder, compute=compute, cluster=cluster)


def _filled(
    plans: Sequence[tuple[Plan, Net]], folder: Path, *, compute: Compute, cluster: Cluster
) -> list[Path]:
    """Return the complete store of each plan, all of one table."""
    quiet = compute.quiet
    stores = []
    for whole, net in plans:
        plan, asked = whole, provenance(whole, net.dtype)
        if cluster.shard is not None:
            rows = shard_rows(cluster.shard, asked.n_images)
            asked = replace(asked, rows=rows)
            plan = replace(plan, dataset=slice_rows(plan.dataset, slice(*rows)))
        growing = cluster.engine == "local"
        stores.append(found_or_to_fill(folder, plan, asked, growing=growing, quiet=quiet))
    paths = [one if isinstance(one, Path) else one.path for one in stores]
    to_fill = [one.path for one in stores if not isinstance(one, Path)]
    if len(set(to_fill)) < len(to_fill):
        raise ConfigError("asked for several nets, found two that are the same; name each once")
    together = []
    for one, (_, net) in zip(stores, plans, strict=True):
        if isinstance(one, Path):
            continue
        if cluster.engine == "ray":
            return [_filled_by_ray(one.path, one.plan, one.asked, net, cluster, quiet=quiet)]
        start = find_start(one.path.parent, one.plan, one.asked)
        if start is not None:
            if not quiet:
                log(f"found {start.layer} in {start.store.path}; computing from it")
            with start.store:
                fill_together([replace(one, plan=replace(one.plan, start=start))], quiet=quiet)
            continue
        plan = tuned(one.plan, quiet=quiet) if compute.batch_size == "auto" else one.plan
        together.append(replace(one, plan=plan))
    if together:
        fill_together(together, quiet=quiet)
    return paths


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
    """Return the net on each device that `device` means; see `decaf.load_backbone`.

    Raises
    ------
    ConfigError
        If `net` names several.
    """
    if (n_nets := len(each_net(net))) > 1:
        raise ConfigError(f"asked for one net, found {n_nets}: {net.backbone}; give one of them")
    return load_everywhere(
        net.backbone,
        weights=net.weights,
        device=device,
        precision=net.precision,
        runtime=net.runtime,
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
    how: dict[str, Any] = {"view": view}
    if (rule := patch_rule(view)) is not None:
        table, how = as_patches(
            table, backbone, net, view=str(view.view), rule=rule, objects=load_objects(table)
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
        "runtime": plan.backbone.runtime,
        "seed": net.seed,
        "allow_code": net.allow_code,
    }
    return fill_with_ray(
        path, plan, asked, loading, num_workers=actors, address=cluster.address, quiet=quiet
    )


def _check_nets(nets: Sequence[Net], cluster: Cluster, out: str | Path) -> None:
    """Refuse what does not go together, before anything is loaded."""
    wrong = [one for one in nets if not isinstance(one, Net)]
    if wrong or not nets:
        raise ConfigError(f"nets are records Net, one or more, found {wrong or 'none'}")
    if cluster.engine == "local" and (cluster.num_workers, cluster.address) != (None, None):
        raise ConfigError("num_workers and address are for engine 'ray'; use workers, or that")
    if cluster.engine == "ray" and not (
        isinstance(nets[0].backbone, str) and cluster.shard is None
    ):
        raise ConfigError("engine 'ray' takes a backbone's name and makes shards of its own")
    if len(nets) == 1:
        return
    asked = f"asked for {len(nets)} nets in one pass"
    if cluster.engine == "ray":
        raise ConfigError(f"{asked} by engine 'ray', which takes one; run it once a net")
    if Path(out).suffix == ".h5":
        raise ConfigError(f"{asked} into the one store {out}; give a folder")
