"""Extraction of patches by one pass over the larger image for each scale."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from time import perf_counter

import numpy as np
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from decaf.backbones import DensePass, TorchBackbone, pool_features
from decaf.engines.batch import Loaded, load_rows_of_image
from decaf.engines.plan import Plan
from decaf.errors import ConfigError, DataError
from decaf.images.patches import DenseScale, dense_scales
from decaf.types import FloatArray, IntArray, PatchRule, Preprocessing


@dataclass
class DenseBatch(Loaded):
    """The patches of one image.

    Attributes
    ----------
    scales : list of (torch.Tensor, DenseScale)
        Resized ``(3, H, W)`` uint8 images.
    wanted : list of int
        Which of all patches the rows are.
    """

    scales: list[tuple[torch.Tensor, DenseScale]] = field(default_factory=list)
    wanted: list[int] = field(default_factory=list)


def image_blocks(pending: IntArray, image_ids: Sequence[str]) -> Iterator[IntArray]:
    """Yield the pending rows of each image."""
    for _, rows in groupby(pending.tolist(), key=lambda row: image_ids[row]):
        yield np.array(list(rows))


def load_dense(plan: Plan, rows: Sequence[int]) -> DenseBatch:
    """Read, decode and resize the image of some rows."""
    batch = DenseBatch()

    def show(image: torch.Tensor) -> None:
        batch.scales, batch.wanted = _resized(plan, rows, image)

    load_rows_of_image(plan, rows, batch, show)
    return batch


class DenseForward:
    """A net on one device that reads windows of larger images.

    Parameters
    ----------
    plan : Plan
        The extraction.
    net : TorchBackbone
        The plan's net, or its replica on another device.
    """

    def __init__(self, plan: Plan, net: TorchBackbone) -> None:
        self._plan = plan
        self._pass = replace(_dense(plan), net=net)

    def features(self, batch: DenseBatch) -> dict[str, FloatArray]:
        """Return the features of a batch's rows, and note the seconds that it took.

        Returns
        -------
        dict of str to numpy.ndarray
            ``(n_rows, n_features)`` float32.
        """
        if not batch.rows:
            return {}
        start = perf_counter()
        passes = []
        for scaled, scale in batch.scales:
            outputs = self._pass.features(scaled, scale.rows, scale.columns)
            passes.append({k: pool_features(v, self._plan.pool).cpu() for k, v in outputs.items()})
        features = {
            layer: torch.cat([one[layer] for one in passes])[batch.wanted].numpy()
            for layer in self._plan.layers
        }
        batch.seconds.net = perf_counter() - start
        return features


def _dense(plan: Plan) -> DensePass:
    if plan.dense is None:
        raise ConfigError("asked for dense patches of a plan that has none")
    return plan.dense


def _resized(
    plan: Plan, rows: Sequence[int], image: torch.Tensor
) -> tuple[list[tuple[torch.Tensor, DenseScale]], list[int]]:
    """Return the image at the scales that its rows' boxes are of, and which patches they are."""
    height, width = image.shape[1:]
    scales: list[tuple[torch.Tensor, DenseScale]] = []
    wanted: dict[tuple[float, ...], int] = {}
    n_before = 0
    boxes = plan.dataset.boxes
    asked = [] if boxes is None else [tuple(box) for box in boxes[list(rows)].tolist()]
    for scale in dense_scales(width, height, plan.patches or PatchRule(), _dense(plan).grid):
        own = {tuple(box): number for number, box in enumerate(scale.boxes.tolist())}
        found = {box: n_before + own[box] for box in asked if box in own and box not in wanted}
        if found:
            scaled = at_scale(image, scale, plan.backbone.preprocessing)
            scales.append((scaled, scale))
            wanted |= found
            n_before += len(own)
    if len(wanted) < len(set(asked)):
        raise DataError(f"has {width} x {height} pixels, not as many as when it was listed")
    return scales, [wanted[box] for box in asked]


def at_scale(image: torch.Tensor, scale: DenseScale, preprocessing: Preprocessing) -> torch.Tensor:
    """Return an image resized, cut and mirrored as a scale says."""
    kind = InterpolationMode(preprocessing.interpolation)
    resized = functional.resize(image, list(scale.resized), kind, antialias=True)
    left, top, right, bottom = scale.margins
    padded = functional.pad(
        resized, [max(0, m) for m in (left, top, right, bottom)], padding_mode="reflect"
    )
    cut_left, cut_top = max(0, -left), max(0, -top)
    _, height, width = padded.shape
    cut: torch.Tensor = padded[
        :, cut_top : height - max(0, -bottom), cut_left : width - max(0, -right)
    ]
    return cut.contiguous()
