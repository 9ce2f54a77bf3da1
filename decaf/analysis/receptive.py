"""Which part of a net's input a place in a layer's map sees, found by trying."""

from typing import Protocol

import torch

from decaf.types import Preprocessing

STRIPS_PX = (8, 2)
"""Widths of the strips that are changed: boxes are right to the first, small ones to the second."""

_SMALL_PX = 64
_SEED = 0
_LEAST = 1e-6
_BATCH = 16


class Traceable(Protocol):
    """What is needed of a backbone."""

    @property
    def preprocessing(self) -> Preprocessing:
        """How pixels become this net's input."""

    @property
    def device(self) -> torch.device:
        """Where the net is."""

    def with_gradients(self, given: torch.Tensor, layers: list[str]) -> dict[str, torch.Tensor]:
        """Return the named layers' outputs for normalised images, by plain convolutions."""


def receptive_extents(net: Traceable, layer: str) -> list[tuple[int, int]]:
    """Return which columns of the input each column of a layer's map depends on.

    Strip after strip of a noise image is replaced by other noise; a column of the map depends on
    the strips that change any of its values. This asks nothing of the net but its outputs, those
    of its plain convolutions, as faster ones round tile by tile. Rows are like columns, because
    inputs are square.

    Parameters
    ----------
    net : decaf.backbones.TorchBackbone
        A net.
    layer : str
        A layer that is a map ``(channels, height, width)``.

    Returns
    -------
    list of (int, int)
        First column in pixels, and the one after the last, for each column of the map.
    """
    coarse, fine = STRIPS_PX
    extents = _extents(net, layer, coarse)
    widest = max(end - start for start, end in extents)
    return _extents(net, layer, fine) if widest <= _SMALL_PX else extents


def _extents(net: Traceable, layer: str, strip: int) -> list[tuple[int, int]]:
    size = net.preprocessing.input_size_px
    draw = torch.Generator().manual_seed(_SEED)
    noise, other = torch.randn((2, 3, size, size), generator=draw)
    starts = range(0, size, strip)
    changed = torch.stack([noise, *(_with_strip(noise, other, start, strip) for start in starts)])
    outputs = torch.cat(
        [
            net.with_gradients(batch.to(net.device), [layer])[layer].detach().cpu()
            for batch in torch.split(changed, _BATCH)
        ]
    )
    moved = (outputs[1:] - outputs[:1]).abs().amax(dim=(1, 2))  # (n_strips, width)
    depends = moved > _LEAST * outputs[0].abs().max()
    extents = []
    for column in depends.T:
        strips = torch.nonzero(column).flatten().tolist() or [0, len(starts) - 1]
        extents.append((strips[0] * strip, min(size, (strips[-1] + 1) * strip)))
    return extents


def _with_strip(noise: torch.Tensor, other: torch.Tensor, start: int, strip: int) -> torch.Tensor:
    changed = noise.clone()
    changed[:, :, start : start + strip] = other[:, :, start : start + strip]
    return changed
