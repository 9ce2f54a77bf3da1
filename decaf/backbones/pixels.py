"""Pixels, the control that no learning is in: a tiny image and a histogram of its colours."""

import torch
from torch import Tensor, nn

from decaf.backbones.definition import Definition
from decaf.backbones.taps import NetLayout, Tap
from decaf.backbones.weights import Weights, state_sha256
from decaf.errors import ConfigError
from decaf.types import Preprocessing

PIXELS = "pixels"
_PREPROCESSING = Preprocessing(
    input_size_px=64,
    resize_px=64,
    interpolation="bilinear",
    crop="center",
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)


class TinyImage(nn.Module):
    """The image at 16 x 16, its mean taken off, of length 1 [1]_.

    References
    ----------
    .. [1] Torralba, Fergus and Freeman, 80 million tiny images, PAMI 2008, section 4.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, 768)`` of ``(n, 3, height, width)``."""
        small = nn.functional.adaptive_avg_pool2d(x, 16).flatten(1)
        return nn.functional.normalize(small - small.mean(1, keepdim=True), dim=1)


class ColourHistogram(nn.Module):
    """The square roots of the shares of 4 x 4 x 4 colours, which are of length 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, 64)`` of ``(n, 3, height, width)`` from 0 to 1."""
        red, green, blue = (4 * x).long().clamp(0, 3).flatten(2).unbind(1)
        colour = 16 * red + 4 * green + blue
        counts = x.new_zeros((len(x), 64)).scatter_add_(
            1, colour, torch.ones_like(colour, dtype=x.dtype)
        )
        return (counts / colour.shape[1]).sqrt()


class PixelFeatures(nn.Module):
    """Both, beside each other."""

    def __init__(self) -> None:
        super().__init__()
        self.tiny, self.histogram, self.pixels = TinyImage(), ColourHistogram(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(n, 832)`` of ``(n, 3, 64, 64)``."""
        both: Tensor = self.pixels(torch.cat([self.tiny(x), self.histogram(x)], 1))
        return both


def names() -> list[str]:
    """Return its name."""
    return [PIXELS]


def define(name: str, weights: str) -> Definition:
    """Return it; it has no weights, which ``imagenet`` stands for.

    Raises
    ------
    ConfigError
        If other published weights are asked for.
    """
    if weights != "imagenet":
        raise ConfigError(f"{name} has no weights, found {weights!r}; leave that out")
    layout = NetLayout({PIXELS: Tap(PIXELS)})
    return Definition(name, layout, _PREPROCESSING, _build, lambda: Weights("none", {}, _NOTHING))


_NOTHING = state_sha256({})


def _build(device: str) -> nn.Module:
    with torch.device(device):
        return PixelFeatures().eval()
