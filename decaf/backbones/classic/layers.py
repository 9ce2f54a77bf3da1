"""Layers of the classic nets as data, and the torch modules made of them.

Caffe's rules: the last pooling window may reach over the edge (ceil mode), response normalisation
divides alpha by its window's size, and channels are split into groups in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Conv:
    """A convolution and its ReLU."""

    name: str
    channels: int
    size: int
    stride: int = 1
    pad: int = 0
    groups: int = 1


@dataclass(frozen=True)
class Pool:
    """Pooling, the largest value or the mean of each window."""

    name: str
    size: int
    stride: int
    mean: bool = False


@dataclass(frozen=True)
class Norm:
    """Local response normalisation across `size` channels (Krizhevsky et al. 2012, 3.3)."""

    name: str
    size: int = 5
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0


@dataclass(frozen=True)
class Linear:
    """A fully connected layer, with a ReLU but for class scores."""

    name: str
    units: int
    relu: bool = True


@dataclass(frozen=True)
class Inception:
    """Four branches side by side (Szegedy et al. 2015, figure 2b), their widths in its order."""

    name: str
    n1x1: int
    n3x3_reduce: int
    n3x3: int
    n5x5_reduce: int
    n5x5: int
    pool_proj: int


Layer = Conv | Pool | Norm | Linear | Inception


class Data(nn.Module):
    """Caffe's input: channels in the order blue, green, red."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels of ``(n, 3, H, W)`` in reverse order."""
        return x.flip(1)


class InceptionBlock(nn.Module):
    """The modules of an `Inception`, under Caffe's names."""

    def __init__(self, width: int, layer: Inception) -> None:
        super().__init__()
        for name, (inputs, outputs, size) in {
            "1x1": (width, layer.n1x1, 1),
            "3x3_reduce": (width, layer.n3x3_reduce, 1),
            "3x3": (layer.n3x3_reduce, layer.n3x3, 3),
            "5x5_reduce": (width, layer.n5x5_reduce, 1),
            "5x5": (layer.n5x5_reduce, layer.n5x5, 5),
            "pool_proj": (width, layer.pool_proj, 1),
        }.items():
            self.add_module(name, nn.Conv2d(inputs, outputs, size, padding=size // 2))
            self.add_module(f"relu_{name}", nn.ReLU(inplace=True))
        self.pool = nn.MaxPool2d(3, 1, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' outputs one after the other along the channels."""

        def run(x: Tensor, *names: str) -> Tensor:
            for name in names:
                x = self.get_submodule(f"relu_{name}")(self.get_submodule(name)(x))
            return x

        return torch.cat(
            [
                run(x, "1x1"),
                run(x, "3x3_reduce", "3x3"),
                run(x, "5x5_reduce", "5x5"),
                run(self.pool(x), "pool_proj"),
            ],
            1,
        )


class _Stack:
    """Modules one after the other, and the size of what they give."""

    def __init__(self, side: int) -> None:
        self.net = nn.Sequential()
        self.width, self.side = 3, side

    def add(self, name: str, module: nn.Module) -> None:
        """Add a module; what stands before a dot is the group that it belongs to."""
        group, dot, last = name.rpartition(".")
        if dot and group not in self.net._modules:
            self.net.add_module(group, nn.Sequential())
        parent = self.net.get_submodule(group) if dot else self.net
        parent.add_module(last, module)

    def add_relu(self, name: str) -> None:
        """Add the ReLU of a layer: relu6 of fc6, conv2.relu_3x3 of conv2.3x3."""
        group, dot, last = name.rpartition(".")
        relu = f"relu_{last}" if dot else f"relu{last.removeprefix('conv').removeprefix('fc')}"
        self.add(group + dot + relu, nn.ReLU(inplace=True))

    def add_layer(self, layer: Layer) -> None:
        """Add the modules of a layer."""
        match layer:
            case Conv(name, channels, size, stride, pad, groups):
                self.add(name, nn.Conv2d(self.width, channels, size, stride, pad, groups=groups))
                self.add_relu(name)
                self.width, self.side = channels, (self.side + 2 * pad - size) // stride + 1
            case Pool(name, size, stride, mean):
                pool = nn.AvgPool2d if mean else nn.MaxPool2d
                self.add(name, pool(size, stride, ceil_mode=True))
                self.side = ceil((self.side - size) / stride) + 1
            case Norm(name, size, alpha, beta, k):
                self.add(name, nn.LocalResponseNorm(size, alpha, beta, k))
            case Inception(name):
                self.add(name, InceptionBlock(self.width, layer))
                self.width = layer.n1x1 + layer.n3x3 + layer.n5x5 + layer.pool_proj
            case Linear(name, units, relu):
                if self.side:  # the first: channels, rows and columns become one axis
                    self.add("flatten", nn.Flatten())
                    self.width, self.side = self.width * self.side**2, 0
                self.add(name, nn.Linear(self.width, units))
                self.width = units
                if relu:
                    self.add_relu(name)


def build_net(layers: Sequence[Layer], side: int, *, bgr: bool) -> nn.Sequential:
    """Return the modules of a net for ``(n, 3, side, side)`` RGB input.

    Parameters
    ----------
    layers : sequence of Layer
        The definition.
    side : int
        Side of the input, in pixels.
    bgr : bool
        Whether the weights expect the channels in the order blue, green, red.
    """
    stack = _Stack(side)
    if bgr:
        stack.add("data", Data())
    for layer in layers:
        stack.add_layer(layer)
    return stack.net
