"""A copy of a net whose last blocks can be trained, up to one layer."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from decaf.backbones.backbone import TorchBackbone
from decaf.backbones.normalize import normalize
from decaf.backbones.pooling import pool_features
from decaf.backbones.taps import Tap, TappedNet, Trace, trace
from decaf.errors import BackboneError, ConfigError

Blocks = int | Literal["all"]
"""How many of a net's last blocks: a number, or all."""

_START = "what enters the first trained block"
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_MOST = 0.5


@dataclass(frozen=True)
class Block:
    """Modules that are frozen or trained together.

    Attributes
    ----------
    modules : tuple of str
        Dotted names, in the order of the pass; the first holds matrices, the others only vectors.
    """

    modules: tuple[str, ...]


def blocks_of(net: nn.Module, traced: Trace, until: Tap) -> list[Block]:
    """Return the blocks that a pass enters until a tap, in the order of the pass.

    A block is the largest module inside the net's containers (`Sequential`, `ModuleList`,
    `ModuleDict`): a convolution or a fully connected layer of AlexNet or VGG, a fire module of
    SqueezeNet, a residual block of ResNet, an encoder block of a transformer. A module that holds
    more than half of the net's parameters is a container too, whatever its class. A module whose
    parameters are all vectors (a normalisation) belongs to the block before it; one without
    parameters to none.

    Parameters
    ----------
    net : torch.nn.Module
        The net.
    traced : Trace
        Its dry run.
    until : Tap
        Where the pass ends.

    Returns
    -------
    list of Block
        The blocks; one that holds the tap counts.
    """
    place = {tap: number for number, tap in enumerate(traced.shapes)}
    end = place[until]
    entered: dict[str, int] = {}
    for name in _units(net, "", sum(p.numel() for p in net.parameters())):
        outputs = [(t.module, number) for t, number in place.items() if not t.enters]
        inside = [number for module, number in outputs if f"{module}.".startswith(f"{name}.")]
        passed = [n for n in inside if n <= end]
        if passed:
            entered[name] = max(passed)
    blocks: list[list[str]] = []
    for name in sorted(entered, key=entered.__getitem__):
        vectors = all(p.ndim <= 1 for p in net.get_submodule(name).parameters())
        if vectors and blocks:
            blocks[-1].append(name)
        else:
            blocks.append([name])
    return [Block(tuple(names)) for names in blocks]


def _units(module: nn.Module, name: str, total: int) -> Iterator[str]:
    own = sum(p.numel() for p in module.parameters())
    inside = [*module.named_children()]
    if not own:
        return
    if inside and (not name or isinstance(module, _CONTAINERS) or own > _MOST * total):
        for child, part in inside:
            yield from _units(part, f"{name}.{child}" if name else child, total)
    else:
        yield name


class TrainableNet(nn.Module):
    """A net from pixels to one layer's features, of which the last blocks can be trained.

    All else is frozen: it takes no gradient, and stays in evaluation mode, so that statistics of
    its batch normalisation do not move and nothing of it is dropped.

    Parameters
    ----------
    backbone : TorchBackbone
        The net; it is copied, in float32.
    layer : str
        Canonical or dotted name.
    pool : str
        How its maps become vectors; see `pool_features`.
    blocks : int or "all"
        How many blocks before the layer are trained, by the rule of `blocks_of`.
    keep_statistics : bool
        Whether statistics of batch normalisation stay as they are in trained blocks too.

    Raises
    ------
    BackboneError
        If the layer is unknown.
    ConfigError
        If there are not as many blocks, or the net's parameters are not in float32.
    """

    def __init__(
        self,
        backbone: TorchBackbone,
        layer: str,
        pool: str,
        blocks: Blocks = 1,
        *,
        keep_statistics: bool = False,
    ) -> None:
        super().__init__()
        if backbone.precision != "fp32":
            raise ConfigError(
                f"asked to train {backbone.name} in {backbone.precision}; parameters are trained "
                "in fp32, load the net so"
            )
        tapped = backbone._net
        self.backbone, self.layer, self.pool = backbone, layer, pool
        tap = tapped.tap(layer)
        found = blocks_of(tapped.net, tapped._trace, tap)
        self.blocks = found[-_count(blocks, found, backbone.name, layer) :]
        self.net = copy.deepcopy(tapped.net)
        start = Tap(self.blocks[0].modules[0], enters=True)
        layout = replace(tapped.layout, aliases={**tapped.layout.aliases, _START: start})
        traced = trace(self.net, backbone.preprocessing.input_size_px, layout)
        self._tapped = TappedNet(self.net, backbone.name, traced, layout)
        self._keeps_statistics = keep_statistics
        self._moving = self._trained_modules(traced, start, tap)
        for block in self.blocks:
            for name in block.modules:
                self.net.get_submodule(name).requires_grad_(requires_grad=True)
        if blocks == "all":  # parameters of the net itself too, such as a class token
            for parameter in self.net.parameters(recurse=False):
                parameter.requires_grad = True
        self.eval()

    def _trained_modules(self, traced: Trace, start: Tap, end: Tap) -> tuple[nn.Module, ...]:
        """Return the modules that training mode is for: all that a pass enters after the start."""
        place = {tap: number for number, tap in enumerate(traced.shapes)}
        first, last = place.get(start, 0), place[end]
        inside = [name for block in self.blocks for name in block.modules]
        after = [tap.module for tap, number in place.items() if first < number <= last]
        return tuple(self.net.get_submodule(name) for name in dict.fromkeys([*inside, *after]))

    def _keep_statistics(self) -> None:
        for module in self.net.modules():
            if isinstance(module, _BatchNorm):
                module.eval()

    def train(self, mode: bool = True) -> "TrainableNet":
        """Put what is trained into training or evaluation mode; the rest stays in the latter."""
        super().train(mode=False)
        self.training = mode
        if mode:
            for module in self._moving:
                module.train()
            if self._keeps_statistics:
                self._keep_statistics()
        return self

    def trained_parameters(self) -> list[dict[str, nn.Parameter]]:
        """Return each trained block's parameters by their names in the net, the last block last."""
        groups = [
            {
                f"{name}.{key}" if key else name: parameter
                for name in block.modules
                for key, parameter in self.net.get_submodule(name).named_parameters()
            }
            for block in self.blocks
        ]
        own = {k: p for k, p in self.net.named_parameters(recurse=False) if p.requires_grad}
        groups[0] |= own
        return groups

    def trained_state(self) -> dict[str, Tensor]:
        """Return what training changes: parameters, and statistics of trained normalisations."""
        names = [f"{name}." for block in self.blocks for name in block.modules]
        own = {name for name, p in self.net.named_parameters(recurse=False) if p.requires_grad}
        return {
            key: value
            for key, value in self.net.state_dict().items()
            if key in own or any(key.startswith(name) for name in names)
        }

    @property
    def splits(self) -> bool:
        """Whether the trained part can be run by itself on what the frozen part gave."""
        size_px = self.backbone.preprocessing.input_size_px
        chance = torch.Generator().manual_seed(0)
        pixels = torch.randint(0, 256, (2, 3, size_px, size_px), generator=chance).byte()
        try:
            with torch.no_grad():
                whole = self(pixels.to(self.backbone.device))
                parts = self.after(self.frozen(pixels.to(self.backbone.device)))
        except (BackboneError, RuntimeError):
            return False
        return whole.shape == parts.shape and torch.allclose(whole, parts, rtol=1e-3, atol=1e-4)

    def frozen(self, pixels: Tensor) -> Tensor:
        """Return what enters the first trained block.

        Parameters
        ----------
        pixels : torch.Tensor
            ``(n, 3, S, S)`` uint8 RGB on the net's device.

        Returns
        -------
        torch.Tensor
            ``(n, ...)``, without a gradient.
        """
        with torch.no_grad():
            x = normalize(pixels, self.backbone.preprocessing, torch.float32)
            return self._tapped.read(x, [_START])[_START]

    def after(self, given: Tensor) -> Tensor:
        """Return the features of images from what `frozen` gave.

        Parameters
        ----------
        given : torch.Tensor
            ``(n, ...)`` float32.

        Returns
        -------
        torch.Tensor
            ``(n, n_features)`` float32.
        """
        size_px = self.backbone.preprocessing.input_size_px
        none = given.new_empty((0, 3, size_px, size_px))
        output = self._tapped.read_after(none, given, _START, [self.layer])[self.layer]
        return self._pooled(output)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the features of images.

        Parameters
        ----------
        pixels : torch.Tensor
            ``(n, 3, S, S)`` uint8 RGB on the net's device.

        Returns
        -------
        torch.Tensor
            ``(n, n_features)`` float32.
        """
        x = normalize(pixels, self.backbone.preprocessing, torch.float32)
        return self._pooled(self._tapped.read(x, [self.layer])[self.layer])

    def _pooled(self, output: Tensor) -> Tensor:
        return pool_features(output.float(), self.pool, self.backbone.prefix_tokens)


def _count(asked: Blocks, found: Sequence[Block], name: str, layer: str) -> int:
    if asked == "all":
        return len(found)
    if not 1 <= asked <= len(found):
        raise ConfigError(
            f"asked to train the last {asked} blocks before {layer} of {name}, which has "
            f"{len(found)}; give 1 to {len(found)}, or all"
        )
    return asked
