"""Extraction of regions as a detector sees them: each by itself, or all from one map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from torch.nn.functional import pad

from decaf.backbones import START, TorchBackbone, map_stride, pool_features
from decaf.choices import Route
from decaf.engines.batch import Batch, load_rows_of_image
from decaf.engines.plan import Plan, RegionRoute
from decaf.engines.windows import image_blocks
from decaf.errors import ConfigError
from decaf.regions.context_warp import warp_boxes
from decaf.regions.roi_pooling import roi_features, roi_scaled
from decaf.types import FloatArray, IntArray

_BOXES_AT_ONCE = 256
"""Fully connected layers read their weights once for so many."""


@dataclass
class RegionBatch(Batch):
    """Regions of one image.

    With the route ``roi`` the pixels are those of the whole image, ``(1, 3, H, W)``.

    Attributes
    ----------
    boxes : numpy.ndarray
        ``(n_rows, 4)`` half-open boxes in pixels of the file.
    """

    boxes: FloatArray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


def region_route(
    net: TorchBackbone, layers: Sequence[str], route: Route, *, context_px: int, roi_px: int
) -> RegionRoute:
    """Return how a net sees regions.

    Parameters
    ----------
    net : TorchBackbone
        The net.
    layers : sequence of str
        What is read of it.
    route : str
        ``crop`` or ``roi``. The latter pools the maps that come before `START`, and needs a net
        whose layers follow from that.
    context_px, roi_px : int
        Size of either route; see `RegionRoute`.

    Raises
    ------
    ConfigError
        If the net has no such maps, or the context leaves nothing of its input.
    """
    side = net.preprocessing.input_size_px
    if route == "crop" and 2 * context_px >= side:
        raise ConfigError(f"context_px is less than half of the {side} px of {net.name}'s input")
    if route == "crop":
        return RegionRoute(route, context_px)
    rest = [layer for layer in layers if layer != START]
    if START in net.layers and len(shape := net.shape(START)) == 3:
        for source in sorted(net.layers, key=net.depth, reverse=True):
            found = net.shape(source)
            larger = len(found) == 3 and found[0] == shape[0] and found[1] > shape[1]
            if larger and net.depth(source) < net.depth(START):
                stride_px = map_stride(net, source)
                if stride_px is not None and (not rest or net.follows(START, rest)):
                    return RegionRoute(route, roi_px, source, stride_px)
                break
    raise ConfigError(
        f"asked for route 'roi' on {', '.join(layers)} of {net.name}, found no maps that pool5 "
        "pools and all else follows from; use route 'crop'"
    )


def region_blocks(plan: Plan, pending: IntArray) -> Iterator[IntArray]:
    """Yield pending rows, each time of one image: with ``crop`` as many as one pass takes."""
    for rows in image_blocks(pending, plan.dataset.image_ids):
        if plan.regions is not None and plan.regions.route == "crop":
            yield from np.split(rows, range(plan.batch_size, len(rows), plan.batch_size))
        else:
            yield rows


def load_regions(plan: Plan, rows: Sequence[int]) -> RegionBatch:
    """Read and decode the image of some rows, and warp their boxes or resize it.

    Parameters
    ----------
    plan : Plan
        The extraction.
    rows : sequence of int
        Rows of the plan's data set, of one image.

    Returns
    -------
    RegionBatch
        The rows, or why they cannot be had.
    """
    batch, how = RegionBatch(), _how(plan)
    boxes = np.asarray(plan.dataset.boxes)[list(rows)]

    def show(image: torch.Tensor) -> None:
        if how.route == "crop":
            batch.pixels = warp_boxes(image, boxes, plan.backbone.preprocessing, how.size_px)
        else:
            batch.pixels = roi_scaled(image, how.size_px)[None]
        batch.boxes = boxes

    load_rows_of_image(plan, rows, batch, show)
    return batch


class RoiForward:
    """A net on one device that pools regions from a map of their image.

    Parameters
    ----------
    plan : Plan
        The extraction.
    net : TorchBackbone
        The plan's net, or its replica on another device.
    """

    def __init__(self, plan: Plan, net: TorchBackbone) -> None:
        self._plan, self._net, self._how = plan, net, _how(plan)
        _, *cells = net.shape(START)
        self._cells = (cells[0], cells[1])
        self._rest = [layer for layer in plan.layers if layer != START]

    @property
    def device(self) -> torch.device:
        """Where the net is."""
        return self._net.device

    def features(self, batch: RegionBatch) -> dict[str, FloatArray]:
        """Return the features ``(n_rows, n_features)`` of a batch's rows; see `Forward.features`.

        Parameters
        ----------
        batch : RegionBatch
            An image and its boxes.
        """
        if not batch.rows:
            return {}
        start = perf_counter()
        pixels = batch.pixels.to(self.device)
        maps = self._net.activations(pixels, [self._how.source])[self._how.source][0]
        width, height = batch.sizes_px[batch.rows[0]]
        stride = self._how.stride_px
        scale = (pixels.shape[3] / width / stride, pixels.shape[2] / height / stride)
        pooled = roi_features(maps, batch.boxes, self._cells, scale)
        parts = [self._part(some) for some in torch.split(pooled, _BOXES_AT_ONCE)]
        batch.seconds.net += perf_counter() - start
        return {
            layer: torch.cat([part[layer] for part in parts]).numpy() for layer in self._plan.layers
        }

    def _part(self, pooled: torch.Tensor) -> dict[str, torch.Tensor]:
        outputs = {START: pooled}
        if self._rest:  # of one size, so that a row does not depend on the rows beside it
            filled = pad(pooled, (0, 0) * 3 + (0, _BOXES_AT_ONCE - len(pooled)))
            after = self._net.activations_after(START, filled.clone(), self._rest)
            outputs |= {layer: output[: len(pooled)] for layer, output in after.items()}
        pool = self._plan.pool
        return {layer: pool_features(output, pool).cpu() for layer, output in outputs.items()}


def _how(plan: Plan) -> RegionRoute:
    if plan.regions is None:
        raise ConfigError("asked for regions of a plan that has none")
    return plan.regions
