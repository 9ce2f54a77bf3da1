"""From an extraction's options to its plan, and what of it decides the features' values."""

import importlib.metadata
import re
from collections.abc import Sequence
from typing import get_args

import torch

from decaf.backbones import DensePass, TorchBackbone, check_pool, pool_features
from decaf.choices import Pixels, check_choice
from decaf.datasets import dataset_digest
from decaf.engines.machine import n_cores
from decaf.engines.plan import START, Plan
from decaf.errors import ConfigError
from decaf.images.decode import GPU_DECODER, PIXEL_POLICY
from decaf.images.views import n_views
from decaf.store import FEATURES_VERSION, Provenance
from decaf.types import ImageDataset, PatchRule

_LIBRARIES = ("torch", "torchvision", "torchcodec", "pillow")
_BATCH_SIZE = {"cpu": 32, "cuda": 256}  # small batches stay in a core's cache
_CONNECTED_BATCH_SIZE = 256  # fully connected layers read their weights once a batch


def make_plan(
    table: ImageDataset,
    net: TorchBackbone,
    *,
    layers: str | Sequence[str] | None = None,
    pool: str = "none",
    view: str = "center",
    box: str = "none",
    box_scale: float = 1.5,
    dense: DensePass | None = None,
    patches: PatchRule | None = None,
    pixels: Pixels = "auto",
    batch_size: int | str | None = None,
    workers: int | None = None,
    max_failures: float = 0.05,
    replicas: Sequence[TorchBackbone] = (),
) -> Plan:
    """Check the options of an extraction and fill in what was not given; see `extract`.

    Raises
    ------
    ConfigError
        If an option is wrong.
    """
    check_pool(pool)
    n_views(view)
    check_choice("pixels", pixels, get_args(Pixels))
    if pixels == "gpu" and net.device.type != "cuda":
        raise ConfigError(f"asked for pixels 'gpu', found the net on {net.device}; use 'auto'")
    if pixels == "gpu" and dense is not None:
        raise ConfigError(
            "asked for dense patches of pixels 'gpu', which they cannot be; use 'auto'"
        )
    check_choice("box", box, ("none", "crop"))
    if box == "crop" and table.boxes is None:
        raise ConfigError(f"box 'crop' was asked of {table.name}, which has no boxes; use 'none'")
    if not box_scale > 0:
        raise ConfigError(f"box_scale is above 0, found {box_scale:g}")
    if not 0 <= max_failures <= 1:
        raise ConfigError(f"max_failures is a share from 0 to 1, found {max_failures:g}")
    n_threads = n_cores() if workers is None else workers
    if n_threads < 0:
        raise ConfigError(f"workers is at least 0, found {workers}")
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
    layers = tuple(dict.fromkeys(layers))
    return Plan(
        dataset=table,
        backbone=net,
        layers=layers,
        pool=pool,
        view=view,
        pixels=pixels,
        batch_size=_batch_size(batch_size, net, layers),
        workers=n_threads,
        max_failures=max_failures,
        box_scale=box_scale if box == "crop" else None,
        patches=patches or PatchRule(),
        replicas=tuple(replicas),
        dense=dense,
    )


def connected_layers(net: TorchBackbone, layers: Sequence[str]) -> tuple[str, ...]:
    """Return those of `layers` that are fully connected ones after `START`, by their names."""
    return tuple(layer for layer in layers if START in net.layers and layer.startswith("fc"))


def _batch_size(asked: int | str | None, net: TorchBackbone, layers: Sequence[str]) -> int:
    if asked is None or asked == "auto":
        return (
            _CONNECTED_BATCH_SIZE if connected_layers(net, layers) else _BATCH_SIZE[net.device.type]
        )
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
        mirrored = "mirrored " if plan.patches.edges == "reflect" else ""
        view = f"{view} of {mirrored}box x {plan.box_scale:g}"
    if plan.dense is not None:
        view = f"windows of {plan.dense.source}, edges {plan.patches.edges}"
    policy = PIXEL_POLICY | ({"decoder": GPU_DECODER} if plan.pixels == "gpu" else {})
    net = plan.backbone
    libraries = _LIBRARIES + (("timm",) if net.name.startswith("timm/") else ())
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
        pixels=f"{plan.pixels}; {'; '.join(f'{k}: {v}' for k, v in policy.items())}",
        versions={name: importlib.metadata.version(name) for name in libraries},
        arithmetic={
            "features": str(FEATURES_VERSION),
            "convolutions": net.convolutions,
            "net": net.code_sha256,
        },
    )


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
