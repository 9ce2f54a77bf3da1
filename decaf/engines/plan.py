"""What an extraction engine is told to do, and what it says when it is done."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from decaf.backbones import DensePass, TorchBackbone
from decaf.choices import Decoder, Route
from decaf.machine import n_cores
from decaf.store import FeatureStore
from decaf.types import ImageDataset, PatchRule

N_ON_GPU = 2
"""Batches on a GPU at once: one computes while the other's pixels or features are copied."""


@dataclass(frozen=True, eq=False)
class StoredStart:
    """Where a pass may start instead of at the pixels.

    Attributes
    ----------
    layer : str
        The layer that is stored: ``pool5``, or the one that is asked for.
    store : FeatureStore
        An open store of the same images, made with the same settings.
    failures : mapping of int to str
        Why rows of it hold no features.
    form : torch.memory_format
        How the net leaves such maps in memory.
    """

    layer: str
    store: FeatureStore
    failures: Mapping[int, str]
    form: torch.memory_format


@dataclass(frozen=True)
class RegionRoute:
    """How rows that are regions of images become features.

    Attributes
    ----------
    route : str
        ``crop``: each is warped with its context; ``roi``: all are pooled from one map.
    size_px : int
        With ``crop`` the context in the net's input, with ``roi`` the image's shorter side.
    source : str
        With ``roi``, the layer that is pooled from.
    stride_px : int
        Pixels between two places of it.
    """

    route: Route
    size_px: int
    source: str = ""
    stride_px: int = 1

    @property
    def said(self) -> str:
        """What a row shows, for the provenance."""
        if self.route == "crop":
            return f"warp with {self.size_px} px of context of box"
        return f"RoI on {self.source} at {self.size_px} px of box"


@dataclass(frozen=True)
class Plan:
    """One extraction, apart from where its features go.

    Attributes
    ----------
    dataset : ImageDataset
        The images.
    backbone : TorchBackbone
        The net.
    layers : tuple of str
        Layers to read in one pass.
    pool : str
        Pooling of maps; see `decaf.backbones.pool_features`.
    view : str
        A name in `decaf.images.views.VIEWS`.
    decoder : str
        Who decodes: ``auto``, ``pillow`` or ``gpu``.
    batch_size : int
        Images in one forward pass.
    workers : int
        Threads that take batches from file to store; 0 does all in the calling thread.
    max_failures : float
        Share of the images that may fail before the run is stopped.
    box_scale : float or None
        Views are made of the row's box, enlarged so many times; None for the whole image.
    replicas : tuple of TorchBackbone
        The same net on further devices; threads take the devices in turn.
    dense : DensePass or None
        Rows are patches that are made at once for each scale of an image.
    patches : PatchRule or None
        Where rows are patches, which ones.
    start : StoredStart or None
        Stored maps that the layers are computed from, without the images.
    regions : RegionRoute or None
        Where rows are regions that a detector sees, how.
    even : bool
        Passes are all of one size, so that a row does not depend on the rows beside it, to the bit.
    """

    dataset: ImageDataset
    backbone: TorchBackbone
    layers: tuple[str, ...]
    pool: str
    view: str
    decoder: Decoder
    batch_size: int
    workers: int
    max_failures: float
    box_scale: float | None = None
    replicas: tuple[TorchBackbone, ...] = ()
    dense: DensePass | None = None
    patches: PatchRule | None = None
    start: StoredStart | None = None
    regions: RegionRoute | None = None
    even: bool = False

    @property
    def edges(self) -> str:
        """What lies outside of an image is left out (``clip``) or mirrored (``reflect``)."""
        return "clip" if self.patches is None else self.patches.edges

    @cached_property
    def n_images(self) -> int:
        """Number of images, whose rows may be several."""
        ids = self.dataset.image_ids
        return len(ids) if self.dataset.boxes is None else len(set(ids))

    def image_of(self, row: int) -> int | str:
        """Return what tells the image of a row from others."""
        return row if self.dataset.boxes is None else self.dataset.image_ids[row]


@dataclass
class StageSeconds:
    """Seconds spent in each stage, added over threads.

    Attributes
    ----------
    read, decode, view, net, write : float
        Reading and hashing files; decoding; cropping and resizing; the net with pooling and
        copies; the store.
    """

    read: float = 0.0
    decode: float = 0.0
    view: float = 0.0
    net: float = 0.0
    write: float = 0.0

    def add(self, other: "StageSeconds") -> None:
        """Add another thread's seconds."""
        for stage, seconds in vars(other).items():
            setattr(self, stage, getattr(self, stage) + seconds)

    def bound(self, n_images: int, plan: Plan) -> float:
        """Return the images/s that the slowest part of the machine could do, if it never idled.

        Parameters
        ----------
        n_images : int
            Number of images that the seconds were spent on.
        plan : Plan
            The extraction.

        Returns
        -------
        float
            On a CPU ``threads / (seconds an image in all stages)``, of as many threads as there
            are cores, or workers if these are more. With GPUs the smaller of theirs and of what
            the threads could do in the other stages. No run can be faster than its own bound.
        """
        n_threads = max(n_cores(), plan.workers)
        on_threads = self.read + self.decode + self.view + self.write
        if plan.backbone.device.type == "cpu":
            return n_threads * n_images / (on_threads + self.net)
        at_once = N_ON_GPU * (1 + len(plan.replicas))
        return min(n_threads * n_images / on_threads, at_once * n_images / max(self.net, 1e-9))


def threads_of_one(plan: Plan) -> int:
    """Return how many of torch's threads one worker of a plan has: no more than cores in all."""
    return max(1, min(torch.get_num_threads(), n_cores()) // max(plan.workers, 1))


Progress = Callable[[int, int], None]
"""Told after each batch how many rows were finished in it, and how many have failed so far."""
