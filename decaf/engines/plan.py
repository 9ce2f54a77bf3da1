"""What an extraction engine is told to do, and what it says when it is done."""

from collections.abc import Callable
from dataclasses import dataclass

from decaf.backbones import TorchBackbone
from decaf.images.decode import Pixels
from decaf.types import ImageDataset


@dataclass(frozen=True)
class Plan:
    """One extraction, apart from where its features go.

    Attributes
    ----------
    dataset : ImageDataset
        The pictures.
    backbone : TorchBackbone
        The net.
    layers : tuple of str
        Layers to read in one pass.
    pool : str
        Pooling of maps; see `decaf.backbones.pool_features`.
    view : str
        A name in `decaf.images.views.VIEWS`.
    pixels : str
        Who decodes: ``auto`` or ``pillow``.
    batch_size : int
        Pictures in one forward pass.
    workers : int
        Threads that take batches from file to store; 0 does all in the calling thread.
    max_failures : float
        Share of the pictures that may fail before the run is stopped.
    box_scale : float or None
        Views are made of the row's box, enlarged so many times; None for the whole picture.
    """

    dataset: ImageDataset
    backbone: TorchBackbone
    layers: tuple[str, ...]
    pool: str
    view: str
    pixels: Pixels
    batch_size: int
    workers: int
    max_failures: float
    box_scale: float | None = None


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
        self.read += other.read
        self.decode += other.decode
        self.view += other.view
        self.net += other.net
        self.write += other.write


Progress = Callable[[int, int], None]
"""Told after each batch how many rows were finished in it, and how many have failed so far."""
