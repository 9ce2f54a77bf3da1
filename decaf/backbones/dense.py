"""Features of all windows of a larger image from one pass of a convolutional net.

Fully connected layers are applied at every place of the maps before them, which is what the same
layers as convolutions compute. A window's features are those of the window cut out, where no
layer pads its maps; where layers do, they see the neighbouring pixels instead of zeros.

References
----------
P. Sermanet et al., "OverFeat: integrated recognition, localization and detection using
convolutional networks", ICLR 2014 (section 3.5); M. Oquab et al., CVPR 2014 (section 3.3).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from decaf.backbones.backbone import TorchBackbone
from decaf.errors import BackboneError, ConfigError
from decaf.images.patches import DenseGrid
from decaf.types import IntArray

_GROWTH_PX = 256
"""Every stride that is a power of two divides it."""
_WINDOWS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class DensePass:
    """A net that reads layers at every place of an image.

    Attributes
    ----------
    net : TorchBackbone
        The net.
    layers : tuple of str
        What is read.
    source : str
        The maps that windows are cut of: the deepest before the layers.
    window : tuple of int
        Height and width of a window in them.
    grid : DenseGrid
        Windows in pixels.
    """

    net: TorchBackbone
    layers: tuple[str, ...]
    source: str
    window: tuple[int, int]
    grid: DenseGrid

    def features(
        self, image: torch.Tensor, rows: IntArray, columns: IntArray
    ) -> dict[str, torch.Tensor]:
        """Return the layers of some windows of an image.

        Parameters
        ----------
        image : torch.Tensor
            ``(3, H, W)`` uint8, each side a whole number of strides larger than a window.
        rows, columns : numpy.ndarray
            Numbers of windows along each axis, in strides.

        Returns
        -------
        dict of str to torch.Tensor
            ``(len(rows) * len(columns), ...)`` float32 outputs, row after row.
        """
        on_device = image[None].to(self.net.device)
        maps = self.net.activations(on_device, [self.source])[self.source][0]
        windows = maps.unfold(1, self.window[0], 1).unfold(2, self.window[1], 1)
        chosen = windows[:, torch.from_numpy(rows)][:, :, torch.from_numpy(columns)]
        cut = chosen.permute(1, 2, 0, 3, 4).flatten(0, 1)
        rest = [layer for layer in self.layers if layer != self.source]
        if not rest:
            return {self.source: cut}
        parts = [
            # a copy, as modules that work in place may change what they are given
            {self.source: some.clone()} | self.net.activations_after(self.source, some, rest)
            for some in torch.split(cut.contiguous(), _WINDOWS_AT_ONCE)
        ]
        return {layer: torch.cat([part[layer] for part in parts]) for layer in self.layers}


def dense_pass(net: TorchBackbone, layers: Sequence[str]) -> DensePass:
    """Return how a net reads layers at every place of an image.

    Raises
    ------
    BackboneError
        If it cannot: its maps do not grow with its input, or the layers do not follow from one of
        them.
    ConfigError
        If it is to run by ONNX Runtime, whose graphs take images of one size.
    """
    if net.runtime == "onnx":
        raise ConfigError(
            "asked for dense patches by runtime 'onnx', which takes images of one size; use "
            "runtime 'torch'"
        )
    net = replace(net, runtime="torch")
    first = min(layers, key=net.depth)
    maps = [name for name in net.layers if len(net.shape(name)) == 3]
    before = [name for name in maps if net.depth(name) <= net.depth(first)]
    for source in sorted(before, key=net.depth, reverse=True):
        stride_px = map_stride(net, source)
        rest = tuple(layer for layer in layers if layer != source)
        if stride_px is not None and (not rest or net.follows(source, rest)):
            grid = DenseGrid(net.preprocessing.input_size_px, stride_px)
            _, height, width = net.shape(source)
            return DensePass(net, tuple(layers), source, (height, width), grid)
    msg = (
        f"asked for {', '.join(layers)} of {net.name} at every place of an image, found no maps "
        "before them that grow with the image; use the view 'patches'"
    )
    raise BackboneError(msg)


def map_stride(net: TorchBackbone, layer: str) -> int | None:
    """Return the pixels between two places of a map; None if it does not grow with the input.

    Parameters
    ----------
    net : TorchBackbone
        A net.
    layer : str
        A layer that gives maps.
    """
    side = net.preprocessing.input_size_px + _GROWTH_PX
    larger = torch.zeros((1, 3, side, side), dtype=torch.uint8, device=net.device)
    try:
        grown = net.activations(larger, [layer])[layer].shape[2:]
    except (BackboneError, RuntimeError, AssertionError):  # of a fixed size
        return None
    more = {a - b for a, b in zip(grown, net.shape(layer)[1:], strict=True)}
    growth = more.pop()
    fits = not more and growth > 0 and _GROWTH_PX % growth == 0
    return _GROWTH_PX // growth if fits else None
