"""What is asked of an image: the features of another one at a layer, or a unit's activation."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from decaf._version import __version__
from decaf.analysis.receptive import receptive_extents
from decaf.analysis.top_images import check_units
from decaf.backbones import TorchBackbone
from decaf.choices import InvertMethod, MaximizeMethod, checked
from decaf.errors import ConfigError
from decaf.insight.asked import Preimage
from decaf.insight.preimage import Wish
from decaf.insight.published_methods import invert_method, maximize_method
from decaf.types import Preprocessing


@checked
def inversions(
    net: TorchBackbone,
    pixels: Tensor,
    layers: Sequence[str],
    method: InvertMethod = "2015",
    tv: float | None = None,
) -> list[Wish]:
    """Ask for images with the features of another image at each layer.

    The loss is the squared distance of the features as a share of their squared norm.

    Parameters
    ----------
    net : TorchBackbone
        A net in float32.
    pixels : torch.Tensor
        ``(3, S, S)`` uint8: the image.
    layers : sequence of str
        Canonical or dotted names.
    method : {"2015", "2016"}
        See `decaf.insight.methods`.
    tv : float, optional
        Weight of total variation; the method's own if not given.

    Raises
    ------
    ConfigError
        If the image's features at a layer are all 0, or the net is not in float32.
    BackboneError
        If a layer is unknown.
    """
    _require_fp32(net)
    wanted = net.with_gradients(
        net_input(minus_mean(pixels[None], net.preprocessing).to(net.device), net.preprocessing),
        layers,
    )
    wishes = []
    for layer in dict.fromkeys(layers):
        target = wanted[layer].detach().flatten(1)
        if not target.any():
            raise ConfigError(
                f"asked to invert {layer}, found features that are all 0 for this image; choose "
                "another layer or image"
            )
        wishes.append(
            Wish(
                layer,
                partial(_error, net=net, layer=layer, target=target),
                invert_method(method, net.progress(layer), tv),
                net.preprocessing.input_size_px,
                _jitter_px(net, layer),
            )
        )
    return wishes


def _error(x: Tensor, *, net: TorchBackbone, layer: str, target: Tensor) -> Tensor:
    found = net.with_gradients(net_input(x, net.preprocessing), [layer])[layer].flatten(1)
    return (found - target).square().sum(1) / target.square().sum()


@checked
def activations_of(
    net: TorchBackbone,
    layer: str,
    units: Sequence[int],
    method: MaximizeMethod = "yosinski-3",
    *,
    largest: Mapping[int, float] | None = None,
    tv: float | None = None,
) -> list[Wish]:
    """Ask for images that activate units: of maps the place in the middle.

    The loss is minus the activation, for ``2016`` times ``10^4 / (receptive field^2 * largest)``.

    Parameters
    ----------
    net : TorchBackbone
        A net in float32.
    layer, units : str, sequence of int
        Channels of the layer's maps, or numbers of features of a vector.
    method : str
        ``2016`` or ``yosinski-1`` to ``yosinski-4``; see `decaf.insight.methods`.
    largest : mapping of int to float, optional
        The largest activation of each unit in natural images; needed by ``2016``.
    tv : float, optional
        Weight of total variation; the method's own if not given.

    Raises
    ------
    ConfigError
        If there is no such unit, or no largest activation above 0 where it is needed.
    BackboneError
        If the layer is unknown.
    """
    _require_fp32(net)
    check_units(units, layer, net.shape(layer)[0])
    how = maximize_method(method, tv)
    if how.relative and not (largest and all(largest[unit] > 0 for unit in units)):
        raise ConfigError(
            f"{method} weighs a unit by its largest activation in natural images, found none above "
            "0; give --images that activate it, or another --method"
        )
    seen_px = _seen_px(net, layer) if how.relative else 0
    wishes = []
    for unit in units:
        weight = 1e4 / (seen_px**2 * largest[unit]) if how.relative and largest else 1.0
        loss = partial(_wanting, net=net, layer=layer, unit=unit, weight=weight, leak=how.leak)
        side_px = net.preprocessing.input_size_px
        wishes.append(Wish(f"{layer}-{unit}", loss, how, side_px, _jitter_px(net, layer)))
    return wishes


def _wanting(
    x: Tensor, *, net: TorchBackbone, layer: str, unit: int, weight: float, leak: float
) -> Tensor:
    with _Leaky(leak):
        found = net.with_gradients(net_input(x, net.preprocessing), [layer])[layer]
    places = found[:, unit].reshape(len(found), *net.shape(layer)[1:])
    for side in places.shape[1:]:
        places = places[:, side // 2]
    return -weight * places


class _Leaky(TorchFunctionMode):
    """Gives ReLUs a slope below 0, whether they are modules or functions."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, or what stands for it."""
        if self.slope and function.__name__ in {"relu", "relu_"}:
            return functional.leaky_relu(args[0], self.slope)
        return function(*args, **(kwargs or {}))


def minus_mean(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return uint8 images ``(n, 3, S, S)`` as float32 grey levels minus the mean colour."""
    return pixels.float() - _colour(preprocessing.mean, pixels)


def plus_mean(x: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return what `minus_mean` gave as uint8 images; what lies outside is cut off."""
    return (x + _colour(preprocessing.mean, x)).round().clamp(0, 255).to(torch.uint8)


def net_input(x: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return grey levels minus the mean colour as a net's input."""
    return x / _colour(preprocessing.std, x)


def _colour(values: Sequence[float], like: Tensor) -> Tensor:
    return 255 * torch.tensor(values, device=like.device)[:, None, None]


def digest_of(net: TorchBackbone, wishes: Sequence[Wish], asked: Preimage, *more: object) -> str:
    """Return what names a search: a digest of all that decides its result."""
    about = {
        "net": [net.name, net.weights_sha256, net.code_sha256, net.device.type],
        "wishes": [[one.name, repr(one.method), one.jitter_px] for one in wishes],
        "asked": asdict(asked),
        "more": [str(one) for one in more],
        "versions": [__version__, torch.__version__],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]


def _require_fp32(net: TorchBackbone) -> None:
    if net.precision != "fp32":
        raise ConfigError(f"asked for gradients of {net.name} in {net.precision}; load it in fp32")


def _jitter_px(net: TorchBackbone, layer: str) -> int:
    """Return a quarter of the stride of a layer's maps, or of the deepest ones before it."""
    maps = layer if len(net.shape(layer)) == 3 and net.shape(layer)[2] > 1 else None
    if maps is None:
        before = [name for name in net.layers if len(net.shape(name)) == 3]
        before = [n for n in before if net.shape(n)[2] > 1 and net.depth(n) < net.depth(layer)]
        maps = max(before, key=net.depth, default=None)
    width = net.shape(maps)[2] if maps else 1
    return max(round(net.preprocessing.input_size_px / width / 4), 1) if maps else 1


def _seen_px(net: TorchBackbone, layer: str) -> int:
    """Return the side of what a unit sees; of a vector the whole input."""
    if len(net.shape(layer)) != 3:
        return net.preprocessing.input_size_px
    extents = receptive_extents(net, layer)
    first, last = extents[len(extents) // 2]
    return last - first
