"""Layers of a net as a module of its own, from a pass that goes to the end, and as ONNX.

`TappedNet` stops after the deepest layer by an exception, which torch's exporter cannot follow;
what comes after the layers is dropped from the exported graph anyway.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from decaf.backbones.taps import Tap, TappedNet, as_maps, hook


class WholePass(nn.Module):
    """Takes normalised images in the net's precision, gives the outputs of layers.

    Parameters
    ----------
    tapped : TappedNet
        The net.
    layers : sequence of str
        Canonical or dotted names.

    Raises
    ------
    BackboneError
        If a layer is unknown.
    """

    def __init__(self, tapped: TappedNet, layers: Sequence[str]) -> None:
        super().__init__()
        self.net, self.layout = tapped.net, tapped.layout
        self.taps = [tapped.tap(layer) for layer in layers]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return each layer's output, maps as ``(n, channels, height, width)``."""
        outputs: dict[Tap, Tensor] = {}

        def keep(tap: Tap, value: Any) -> None:
            outputs[tap] = value.clone()  # a later in-place module must not change it

        handles = [hook(self.net, tap, keep) for tap in dict.fromkeys(self.taps)]
        try:
            self.net(x)
        finally:
            for handle in handles:
                handle.remove()
        return tuple(as_maps(outputs[tap], tap, self.layout) for tap in self.taps)


def to_onnx(
    module: nn.Module, images: Tensor, takes: str, gives: Sequence[str], *, any_number: bool
) -> Any:
    """Return a module as ONNX.

    Parameters
    ----------
    module : torch.nn.Module
        Takes one tensor of images.
    images : torch.Tensor
        An example, of two images at least.
    takes : str
        What the graph calls its input.
    gives : sequence of str
        What it calls its outputs.
    any_number : bool
        Whether it takes any number of images; else as many as there are in the example.

    Returns
    -------
    onnx.ModelProto
        The graph, with the weights that it needs.
    """
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's exporter, about itself
        program: Any = torch.onnx.export(
            module,
            (images,),
            input_names=[takes],
            output_names=list(gives),
            dynamic_shapes=({0: torch.export.Dim("n")},) if any_number else None,
            dynamo=True,
            verbose=False,
        )
    return program.model_proto
