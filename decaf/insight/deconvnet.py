"""Signals that are sent from a layer down to the pixels, by a rule for each ReLU.

At a ReLU with input ``f`` above 0 or not, a signal ``R`` that comes down becomes

==========  =====================
gradient    ``R [f > 0]``
deconvnet   ``R [R > 0]``
guided      ``R [f > 0] [R > 0]``
==========  =====================

All else is the gradient: convolutions transposed, and max pooling by its switches, which add where
windows overlap. The deconvnet passes local contrast normalisation as if it were not there.

References
----------
Zeiler and Fergus, Visualizing and understanding convolutional networks, ECCV 2014, section 2.1;
Springenberg et al., Striving for simplicity, ICLR 2015 workshop, section 3.4;
Selvaraju et al., Grad-CAM, ICCV 2017, section 3.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from decaf.backbones import TorchBackbone
from decaf.choices import SignalRule, checked
from decaf.errors import ConfigError

_RELUS: dict[str, Callable[..., torch.Tensor]] = {
    "relu": lambda x, *_, **__: torch.relu(x),
    "relu_": lambda x, *_, **__: torch.relu(x),
    "relu6": lambda x, *_, **__: x.clamp(0, 6),
    "hardtanh": lambda x, low=-1.0, high=1.0, *_, **__: x.clamp(low, high),  # of nn.ReLU6
}
"""ReLUs by the functions and methods that nets call, and what each computes, never in place."""

_WITHOUT_RULE = frozenset({
    "elu", "gelu", "hardsigmoid", "hardswish", "layer_norm", "leaky_relu", "mish",
    "scaled_dot_product_attention", "sigmoid", "silu", "softmax", "tanh",
})  # fmt: skip


class _Sent(torch.autograd.Function):
    """Gives what was computed of an input; passes the signal for it to the input."""

    @staticmethod
    def forward(ctx: Any, _: torch.Tensor, computed: torch.Tensor, rectify: bool) -> torch.Tensor:
        ctx.rectify = rectify
        return computed.view_as(computed)

    @staticmethod
    def backward(ctx: Any, *signals: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (signal,) = signals
        return (signal.clamp(min=0) if ctx.rectify else signal), None, None


class _Rules(TorchFunctionMode):
    """Gives ReLUs the rule of a method, whether they are modules or functions, in place or not."""

    def __init__(self, method: SignalRule) -> None:
        super().__init__()
        self.method = method

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, or what stands for it."""
        kwargs, name = kwargs or {}, function.__name__
        if self.method == "gradient":
            return function(*args, **kwargs)
        if name in _WITHOUT_RULE:
            raise ConfigError(
                f"{self.method} has a rule for ReLU alone, found {name} in the net; choose "
                "--method gradient or grad-cam"
            )
        if name in _RELUS:
            above = _RELUS[name](*args, **kwargs)
            below = args[0] if self.method == "deconvnet" else above
            return _Sent.apply(below, above.detach(), True)  # noqa: FBT003 - autograd takes no names
        if name == "local_response_norm" and self.method == "deconvnet":
            return _Sent.apply(args[0], function(*args, **kwargs).detach(), False)  # noqa: FBT003 - autograd takes no names
        return function(*args, **kwargs)


@checked
def send_down(
    net: TorchBackbone,
    inputs: torch.Tensor,
    layer: str,
    start: Callable[[torch.Tensor], torch.Tensor],
    method: SignalRule = "deconvnet",
) -> torch.Tensor:
    """Send a signal from a layer down to the net's input.

    Parameters
    ----------
    net : TorchBackbone
        A net.
    inputs : torch.Tensor
        ``(n, 3, S, S)`` normalised images on the net's device.
    layer : str
        Where the signal starts; a ReLU above it plays no part.
    start : callable
        Takes the layer's output ``(n, ...)``, returns the signal there, of that shape.
    method : str
        ``deconvnet``, ``guided`` or ``gradient``: what ReLUs do to the signal.

    Returns
    -------
    torch.Tensor
        ``(n, 3, S, S)`` float32 signal at the net's normalised input.

    Raises
    ------
    ConfigError
        If the net has another non-linearity than ReLU, for which the method has no rule.
    BackboneError
        If there is no such layer.
    """
    x = inputs.detach().float().clone().requires_grad_()
    with _Rules(method):
        output = net.with_gradients(x, [layer])[layer]
    (signal,) = torch.autograd.grad(output, x, start(output.detach()))
    return signal


def grad_cam(
    net: TorchBackbone, inputs: torch.Tensor, layer: str, unit: int, maps: str
) -> torch.Tensor:
    """Weigh a layer's maps by what they do for a unit above.

    Parameters
    ----------
    net : TorchBackbone
        A net.
    inputs : torch.Tensor
        ``(n, 3, S, S)`` normalised images on the net's device.
    layer, unit : str, int
        The unit, such as a class of ``fc8``; of a map its strongest place counts.
    maps : str
        A layer before it whose output is maps ``(channels, height, width)``.

    Returns
    -------
    torch.Tensor
        ``(n, S, S)`` float32: the positive part of the maps' sum, each weighed by the mean of
        its gradient, bilinear between places.

    Raises
    ------
    ConfigError
        If `layer` cannot be computed from `maps` alone, or `maps` are none.
    """
    if len(net.shape(maps)) != 3 or not net.follows(maps, [layer]):
        raise ConfigError(
            f"asked to weigh the maps of {maps} for {layer}, which does not follow from them "
            "alone; give --maps another layer, see `decaf layers`"
        )
    given = net.with_gradients(inputs, [maps])[maps].detach().requires_grad_()
    scores = net.with_gradients(given, [layer], after=maps)[layer][:, unit]
    (gradient,) = torch.autograd.grad(scores.reshape(len(scores), -1).amax(1).sum(), given)
    found = (given.detach() * gradient.mean((2, 3), keepdim=True)).sum(1, keepdim=True).relu()
    shown = functional.interpolate(found, inputs.shape[2:], mode="bilinear", align_corners=False)
    return shown[:, 0]
