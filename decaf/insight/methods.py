"""Published ways to change an image until a net sees what is asked.

Images are grey levels minus the net's mean colour, ``(n, 3, S, S)`` float32. A method says where
it starts, what it dislikes of an image, and how a gradient changes the image.

References
----------
Mahendran and Vedaldi, Understanding deep image representations by inverting them, CVPR 2015
(code: aravindhm/deep-goggle), and Visualizing deep convolutional neural networks using natural
pre-images, IJCV 2016 (code: aravindhm/nnpreimage); Yosinski et al., Understanding neural networks
through deep visualization, 2015 (code: yosinski/deep-visualization-toolbox).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.v2.functional import gaussian_blur

Memory = Mapping[str, Tensor]
"""What a method keeps from step to step of a phase."""

_MOMENTUM = 0.9
_FLAT = 1e-12
"""Where an image is flat, total variation of a power below 2 has no gradient."""


@dataclass(frozen=True)
class Phase:
    """A number of steps of one rate; the image may be shifted at random in each."""

    steps: int
    lr: float
    jitter: bool = False


class Method(Protocol):
    """A way to change an image."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Its steps."""

    @property
    def leak(self) -> float:
        """Slope that ReLUs get below 0, so that a unit at rest has a gradient."""

    @property
    def relative(self) -> bool:
        """Whether an activation counts as a share of the largest in natural images."""

    def start(self, noise: Tensor) -> Tensor:
        """Return images to start from, of noise ``(n, 3, H, W)``, uniform in 0 to 1."""

    def penalty(self, x: Tensor) -> Tensor:
        """Return ``(n,)``: what the method dislikes of images."""

    def update(
        self, x: Tensor, gradient: Tensor, memory: Memory, lr: float, step: int
    ) -> tuple[Tensor, Memory]:
        """Return images after a step, and what is kept of it."""

    def with_steps(self, steps: int) -> Self:
        """Return the method with another number of steps."""


def total_variation(x: Tensor, beta: float) -> Tensor:
    """Return the sum of ``(dx^2 + dy^2)^(beta / 2)``; differences go forward, the border repeats.

    Parameters
    ----------
    x : torch.Tensor
        ``(n, channels, height, width)``.
    beta : float
        The power.

    Returns
    -------
    torch.Tensor
        ``(n,)``.
    """
    wide = functional.pad(x, (0, 1, 0, 1), mode="replicate")
    squares = (wide[..., :-1, 1:] - x) ** 2 + (wide[..., 1:, :-1] - x) ** 2
    if beta < 2:
        squares = squares.clamp(min=_FLAT)
    return (squares ** (beta / 2)).sum((1, 2, 3))


def colour_norm(x: Tensor) -> Tensor:
    """Return the Euclidean norm ``(n, 1, H, W)`` of each pixel's colour."""
    norm: Tensor = x.norm(dim=1, keepdim=True)
    return norm


def gaussian(noise: Tensor) -> Tensor:
    """Return Gaussian noise of uniform noise in 0 to 1."""
    normal: Tensor = torch.special.ndtri(noise.clamp(1e-6, 1 - 1e-6))
    return normal


@dataclass(frozen=True)
class _Phased:
    phases: tuple[Phase, ...]
    leak: float = 0.0
    relative: bool = False

    def with_steps(self, steps: int) -> Self:
        """Return the method with another number of steps, shared by its phases."""
        ends, total = [0], sum(phase.steps for phase in self.phases)
        for phase in self.phases:
            ends.append(ends[-1] + phase.steps)
        ends = [round(end * steps / total) for end in ends]
        parts = zip(self.phases, pairwise(ends), strict=True)
        return replace(self, phases=tuple(replace(p, steps=b - a) for p, (a, b) in parts))


@dataclass(frozen=True)
class Momentum(_Phased):
    """Mahendran and Vedaldi 2015: descent with momentum on the features' relative error.

    Attributes
    ----------
    tv : float
        Weight of total variation.
    beta, weight, alpha : float
        Its power; weight and power of the penalty of large values.
    sigma : float
        Root mean square of an image's values.
    """

    tv: float = 1.0
    beta: float = 2.0
    weight: float = 8e-10
    alpha: float = 6.0
    sigma: float = 68.92

    def start(self, noise: Tensor) -> Tensor:
        """Return Gaussian noise of norm sigma."""
        x = gaussian(noise)
        return x * (self.sigma / x.square().mean((1, 2, 3), keepdim=True).sqrt())

    def penalty(self, x: Tensor) -> Tensor:
        """Return total variation and the sixth power of values, as shares of sigma squared."""
        large = x.abs().pow(self.alpha).sum((1, 2, 3))
        whole = self.tv * total_variation(x, self.beta) + self.weight * large
        return whole / (2 * self._energy(x))

    def update(
        self,
        x: Tensor,
        gradient: Tensor,
        memory: Memory,
        lr: float,
        step: int,  # noqa: ARG002 - others use it
    ) -> tuple[Tensor, Memory]:
        """Return images after a step."""
        velocity = _MOMENTUM * memory.get("velocity", 0.0) - lr * self._energy(x) * gradient
        return x + velocity, {"velocity": velocity}

    def _energy(self, x: Tensor) -> float:
        return self.sigma**2 * x[0].numel()


@dataclass(frozen=True)
class AdaptiveSteps(_Phased):
    """Mahendran and Vedaldi 2016: adaptive steps, shifted images, and a bound on colours.

    Attributes
    ----------
    tv : float
        Weight of total variation, a mean over pixels.
    sigma, bound, alpha : float
        Norm of a usual colour, the largest norm, and the power of the penalty of large ones.
    """

    tv: float = (6.5 / 80) ** 2
    sigma: float = 80.0
    bound: float = 160.0
    alpha: float = 6.0

    def start(self, noise: Tensor) -> Tensor:
        """Return uniform noise, whose 95 % quantile is that of usual colours."""
        x = 2 * noise - 1
        quantile = x.flatten(1).sort(1).values[:, int(0.95 * x[0].numel())]
        return x / quantile[:, None, None, None] * self.sigma / 3**0.5

    def penalty(self, x: Tensor) -> Tensor:
        """Return total variation and large colours, as means over pixels."""
        large = (x.square().sum(1) / self.sigma**2).pow(self.alpha / 2).sum((1, 2))
        return (self.tv * total_variation(x, 2.0) + large) / x[0, 0].numel()

    def update(
        self,
        x: Tensor,
        gradient: Tensor,
        memory: Memory,
        lr: float,
        step: int,  # noqa: ARG002 - others use it
    ) -> tuple[Tensor, Memory]:
        """Return images after a step, within the bound."""
        squares = _MOMENTUM * memory.get("squares", 0.0) + gradient**2
        rate = lr * x[0, 0].numel()
        velocity = _MOMENTUM * memory.get("velocity", 0.0) - gradient / (1 / rate + squares.sqrt())
        x = x + velocity
        x = x * (self.bound / colour_norm(x).clamp(min=self.bound))
        return x, {"squares": squares, "velocity": velocity}


@dataclass(frozen=True)
class Ascent(_Phased):
    """Yosinski et al. 2015: plain ascent, and operators that keep the image simple.

    Attributes
    ----------
    decay : float
        Share of every value that goes in each step.
    blur, every : float, int
        Standard deviation in pixels of a Gaussian blur, and after how many steps it comes.
    small_norm, small_gain : float
        Shares of the pixels that are set to the mean colour: those of least colour, and those
        whose removal would change the activation least.
    gain : float or None
        By how much a step should raise the activation, the rate being the most; None: the rate.
    """

    decay: float = 0.0
    blur: float = 0.0
    every: int = 4
    small_norm: float = 0.0
    small_gain: float = 0.0
    gain: float | None = None

    def start(self, noise: Tensor) -> Tensor:
        """Return Gaussian noise of 10 grey levels."""
        return 10 * gaussian(noise)

    def penalty(self, x: Tensor) -> Tensor:
        """Return 0: operators take a penalty's place."""
        return x.new_zeros(len(x))

    def update(
        self,
        x: Tensor,
        gradient: Tensor,
        memory: Memory,  # noqa: ARG002 - others use it
        lr: float,
        step: int,
    ) -> tuple[Tensor, Memory]:
        """Return images after a step and the operators."""
        if self.gain is not None:
            squares = gradient.square().sum((1, 2, 3), keepdim=True)
            gradient = gradient * (self.gain / squares.clamp(min=1e-30) / lr).clamp(max=1)
        x = (x - lr * gradient) * (1 - self.decay)
        if self.blur and step % self.every == 0:
            x = gaussian_blur(x, [2 * int(4 * self.blur + 0.5) + 1] * 2, [self.blur] * 2)
        for share, size in (
            (self.small_norm, colour_norm(x)),
            (self.small_gain, (x * gradient).sum(1, keepdim=True).abs()),
        ):
            if share:
                least = size.flatten(1).quantile(share, 1)[:, None, None, None]
                x = x * (size >= least)
        return x, {}
