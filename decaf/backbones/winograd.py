"""Convolutions of stride 1 in fewer multiplications, by Winograd's minimal filtering.

Of a map's tiles that overlap, each ``m x m`` outputs take ``(m + r - 1)^2`` products of a channel
instead of ``(m r)^2``: a quarter for filters of 3 x 3 in tiles of 4 x 4 outputs. The rest of the
work is three matrix products and two copies.

References
----------
S. Winograd, "Arithmetic complexity of computations", SIAM 1980; A. Lavin and S. Gray, "Fast
algorithms for convolutional neural networks", CVPR 2016 (section 4.1, algorithm 1).
"""

import copy
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from decaf.types import FloatArray

_SIDE = 4
"""Of a tile's outputs."""
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are evaluated, besides infinity."""
_MIN_CHANNELS = {3: 128, 5: 48}
"""In and out of a group, from which it pays, for each side of a filter; by measurement."""
_AT_ONCE_BYTES = 8 << 20
"""Of tiles and products that are worked on at once, so that a cache holds most of them."""


class WinogradConv2d(nn.Conv2d):
    """A convolution that takes fewer multiplications, on a CPU in float32.

    Parameters
    ----------
    conv : torch.nn.Conv2d
        One that gains by it; it shares its weights, which must not change any more.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__(
            conv.in_channels,
            conv.out_channels,
            cast("tuple[int, int]", conv.kernel_size),
            padding=cast("tuple[int, int]", conv.padding),
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
        )
        self.weight, self.bias = conv.weight, conv.bias
        self._filters = _transformed(conv.weight, conv.groups)

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of ``(n, channels, height, width)`` maps."""
        fits = x.ndim == 4 and len(x) > 0 and min(x.shape[2:]) >= self.kernel_size[0]
        return self._by_tiles(x) if fits else super().forward(x)

    def _by_tiles(self, x: Tensor) -> Tensor:
        filters, r = self._filters, self.kernel_size[0]
        side = _SIDE + r - 1
        top, left = cast("tuple[int, int]", self.padding)
        height, width = x.shape[2] + 2 * top - r + 1, x.shape[3] + 2 * left - r + 1
        rows, columns = -(-height // _SIDE), -(-width // _SIDE)
        right = columns * _SIDE + r - 1 - x.shape[3] - left
        bottom = rows * _SIDE + r - 1 - x.shape[2] - top
        padded = pad(x.permute(0, 2, 3, 1), (0, 0, left, right, top, bottom))
        out = x.new_empty((len(x), rows, _SIDE, columns, _SIDE, self.out_channels))
        of_one = 4 * side**2 * rows * columns * (self.in_channels + self.out_channels)
        # more where the filters are large, which each part reads anew
        at_once = max(1, max(_AT_ONCE_BYTES, 2 * filters.nbytes) // of_one)
        for some, into in zip(torch.split(padded, at_once), torch.split(out, at_once), strict=True):
            tiles = some.unfold(1, side, _SIDE).unfold(2, side, _SIDE).permute(0, 1, 2, 4, 5, 3)
            found = self._of_tiles(tiles.reshape(-1, side**2, self.in_channels), filters)
            found = found.view(len(some), rows, columns, _SIDE, _SIDE, self.out_channels)
            into.copy_(found.transpose(2, 3))
        maps = out.view(len(x), rows * _SIDE, columns * _SIDE, -1)[:, :height, :width]
        maps = maps.contiguous() if self.bias is None else maps + self.bias
        return maps.permute(0, 3, 1, 2)

    def _of_tiles(self, tiles: Tensor, filters: Tensor) -> Tensor:
        """Return ``(n_tiles, m^2, channels out)`` of ``(n_tiles, side^2, channels in)``."""
        # d is a tile, g a filter; as vectors, B' d B is kron(B', B') d and so on:
        # Y = A' [(G g G') * (B' d B)] A, the product summed over channels
        into, outof = _transforms(self.kernel_size[0])
        n, side2, _ = tiles.shape
        spread = torch.matmul(into, tiles).view(n, side2 * self.groups, -1)
        products = tiles.new_empty((n, side2 * self.groups, filters.shape[2]))
        # one product of matrices for each place in the transform, read and written in strides
        torch.bmm(spread.transpose(0, 1), filters, out=products.transpose(0, 1))
        return torch.matmul(outof, products.view(n, side2, self.out_channels))


def with_winograd(net: nn.Module) -> nn.Module:
    """Return a net whose convolutions that gain by it take fewer multiplications.

    Parameters
    ----------
    net : torch.nn.Module
        In evaluation mode, on a CPU in float32. It stays as it is.

    Returns
    -------
    torch.nn.Module
        A copy that shares all weights, to be read only; the net itself where nothing gains.
    """
    gaining = {name: m for name, m in net.named_modules() if type(m) is nn.Conv2d and _gains(m)}
    if not gaining:
        return net
    shared: dict[int, Any] = {id(one): one for one in (*net.parameters(), *net.buffers())}
    twin = copy.deepcopy(net, shared)
    for name, conv in gaining.items():
        twin.set_submodule(name, WinogradConv2d(conv))
    return twin


def _gains(conv: nn.Conv2d) -> bool:
    height, width = conv.kernel_size
    plain = conv.stride == conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    if not plain or height != width or isinstance(conv.padding, str):
        return False
    channels = min(conv.in_channels, conv.out_channels) // conv.groups
    return height in _MIN_CHANNELS and channels >= _MIN_CHANNELS[height]


def _transformed(weight: Tensor, groups: int) -> Tensor:
    """Return filters as ``(side^2 * groups, channels in, channels out)`` of a group."""
    _, evaluate, _ = _matrices(weight.shape[-1])
    with torch.no_grad():
        # (side^2, r^2) times (r^2, groups * out * in)
        flat = weight.flatten(2).permute(2, 0, 1).flatten(1).double()
        spread = _kron(evaluate) @ flat
        grouped = spread.float().view(-1, weight.shape[0] // groups, weight.shape[1])
        return grouped.transpose(1, 2).contiguous()


@cache
def _transforms(filter_side: int) -> tuple[Tensor, Tensor]:
    """Return the matrices that take flat tiles into the transform, and products out of it."""
    outof, _, into = _matrices(filter_side)
    return _kron(into).float(), _kron(outof).float()


def _matrices(filter_side: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return A', G and B' of Lavin and Gray for tiles of `_SIDE` outputs.

    Polynomials are multiplied by multiplying their values at some points and finding the one
    polynomial that has the products as values; the transpose of that filters.
    """
    side = _SIDE + filter_side - 1
    outof = _values(side, _SIDE).T
    evaluate = _values(side, filter_side)
    into = np.linalg.inv(_values(side, side)).T
    size = np.abs(into).max(1, keepdims=True)
    return outof, evaluate * size, into / size


def _kron(matrix: FloatArray) -> Tensor:
    """Return what a matrix does to both axes of a tile, for tiles as vectors."""
    return torch.from_numpy(np.kron(matrix, matrix))


def _values(n_points: int, n_terms: int) -> FloatArray:
    """Return the matrix that takes a polynomial's coefficients to its values at the points."""
    powers = np.vander(np.array(_POINTS[: n_points - 1]), n_terms, increasing=True)
    return np.vstack([powers, np.eye(n_terms)[-1:]])
