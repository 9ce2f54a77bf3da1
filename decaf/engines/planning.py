"""From an extraction's options to its plan, and what of it decides the features' values."""

import importlib.metadata
import re
from collections.abc import Sequence

import torch

from decaf.backbones import START, DensePass, TorchBackbone, pool_features
from decaf.choices import Decoder
from decaf.datasets import dataset_digest
from decaf.engines.plan import Plan
from decaf.errors import ConfigError
from decaf.images.codec import decode_jpeg
from decaf.images.decode import GPU_DECODER, PIXEL_POLICY
from decaf.images.views import n_views
from decaf.machine import n_cores
from decaf.progress import log
from decaf.protocols.checks import check_above_0
from decaf.records import Compute, Net, View
from decaf.store import FEATURES_VERSION, Provenance
from decaf.types import ImageDataset, PatchRule

BOX_SCALE = 1.5
"""DeCAF's: what a box's width and height are multiplied by."""

_LIBRARIES = ("torch", "torchvision", "torchcodec", "pillow")
_BATCH_SIZE = {"cpu": 16, "cuda": 256}  # small batches stay in a core's cache
_CONNECTED_BATCH_SIZE = {"cpu": 128, "cuda": 256}  # they read their weights once a batch


def make_plan(
    table: ImageDataset,
    net: TorchBackbone,
    asked: Net = Net(),
    view: View = View(),
    *,
    decoder: Decoder = "auto",
    compute: Compute = Compute(),
    patches: PatchRule | None = None,
    dense: DensePass | None = None,
) -> Plan:
    """Check the options of an extraction and fill in what was not given; see `extract`.

    Parameters
    ----------
    table : ImageDataset
        The rows.
    net : TorchBackbone
        The loaded net; of `asked` only layers and pooling count.
    asked : Net
        What is taken of it.
    view : View
        What a row shows.
    decoder : str
        Who decodes.
    compute : Compute
        How it runs.
    patches : PatchRule, optional
        Where rows are patches, which ones.
    dense : DensePass, optional
        Where these are made at once for each scale of an image.

    Raises
    ------
    ConfigError
        If an option is wrong.
    """
    name = view.view or "center"
    n_views(name)
    _check_decoder(decoder, net, dense)
    if view.box_scale is not None:
        check_above_0(box_scale=view.box_scale)
    if view.box == "crop" and table.boxes is None:
        raise ConfigError(f"box 'crop' was asked of {table.name}, which has no boxes; use 'none'")
    if view.box_scale is not None and view.box != "crop":
        raise ConfigError(f"asked for box_scale {view.box_scale:g} without boxes; give box 'crop'")
    layers = layers_of(asked, net)
    return Plan(
        dataset=table,
        backbone=net.for_layers(layers) if dense is None else dense.net,
        layers=layers,
        pool=asked.pool,
        view=name,
        decoder=decoder,
        batch_size=_batch_size(compute.batch_size, net, layers),
        workers=n_cores() if compute.workers is None else compute.workers,
        max_failures=compute.max_failures,
        box_scale=(view.box_scale or BOX_SCALE) if view.box == "crop" else None,
        patches=patches,
        dense=dense,
    )


def layers_of(asked: Net, net: TorchBackbone) -> tuple[str, ...]:
    """Return the layers that are asked for, or the net's own.

    Raises
    ------
    ConfigError
        If it has none of its own.
    """
    layers = asked.layer_names or tuple(net.default_layers)
    if not layers:
        raise ConfigError(
            f"asked for features of {net.name} without naming layers; it has no canonical ones; "
            "give layers from `decaf layers`"
        )
    return layers


def _check_decoder(decoder: Decoder, net: TorchBackbone, dense: DensePass | None) -> None:
    """Refuse a decoder that cannot do what is asked; say where decoding is slower than it could."""
    if decoder == "gpu" and net.device.type != "cuda":
        raise ConfigError(f"asked for decoder 'gpu', found the net on {net.device}; use 'auto'")
    if decoder == "gpu" and dense is not None:
        raise ConfigError(
            "asked for dense patches by decoder 'gpu', which cannot make them; use 'auto'"
        )
    if decode_jpeg is None and decoder == "gpu":
        raise ConfigError(
            "asked for decoder 'gpu', found no torchcodec for this torch; install it, or use 'auto'"
        )
    if decode_jpeg is None and decoder == "auto":
        log("no torchcodec for this torch: Pillow decodes, to the same bits, but slower")


def connected_layers(net: TorchBackbone, layers: Sequence[str]) -> tuple[str, ...]:
    """Return those of `layers` that are fully connected ones after `START`, by their names."""
    return tuple(layer for layer in layers if START in net.layers and layer.startswith("fc"))


def _batch_size(asked: int | str | None, net: TorchBackbone, layers: Sequence[str]) -> int:
    if asked is None or asked == "auto":
        sizes = _CONNECTED_BATCH_SIZE if connected_layers(net, layers) else _BATCH_SIZE
        return sizes[net.device.type]
    if not str(asked).isdecimal() or int(asked) < 1:
        raise ConfigError(f"batch_size is at least 1, found {asked}; give a number, or auto")
    return int(asked)


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
    view = plan.view
    if plan.box_scale is not None:
        mirrored = "mirrored " if plan.edges == "reflect" else ""
        view = f"{view} of {mirrored}box x {plan.box_scale:g}"
    if plan.dense is not None:
        view = f"windows of {plan.dense.source}, edges {plan.edges}"
    if plan.regions is not None:
        view = plan.regions.said
    policy = PIXEL_POLICY | ({"decoder": GPU_DECODER} if plan.decoder == "gpu" else {})
    net = plan.backbone
    libraries = _LIBRARIES + (("timm",) if net.name.startswith("timm/") else ())
    libraries += ("onnxruntime",) if net.runtime == "onnx" else ()
    return Provenance(
        dataset=plan.dataset.name,
        dataset_digest=dataset_digest(plan.dataset),
        n_images=len(plan.dataset.image_ids),
        backbone=net.name,
        weights=net.weights,
        weights_sha256=net.weights_sha256,
        preprocessing=net.preprocessing,
        views=(view,),
        layers=plan.layers,
        pooling=plan.pool,
        dtype=dtype,
        precision=net.precision,
        pixels=f"{plan.decoder}; {'; '.join(f'{k}: {v}' for k, v in policy.items())}",
        versions={name: version for name in libraries if (version := _version(name))},
        arithmetic={
            "features": str(FEATURES_VERSION),
            "convolutions": net.convolutions,
            "runtime": net.runtime,
            "net": net.code_sha256,
        },
        patches=plan.patches,
    )


def _version(library: str) -> str:
    """Return the version of a library; empty where it is not here."""
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""


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
        raise ConfigError(f"asked for {total} shards of {n_images} images; give fewer")
    return (number - 1) * n_images // total, number * n_images // total
