"""A layer of a net as a module of its own, from a pass that goes to the end.

`TappedNet` stops after the deepest layer by an exception, which torch's exporter cannot follow;
what comes after the layer is dropped from the exported graph anyway.
"""

from typing import Any

from torch import Tensor, nn

from decaf.backbones.backbone import TorchBackbone
from decaf.backbones.taps import as_maps, find_tap


class WholePass(nn.Module):
    """Takes normalised images in the net's precision, gives one layer's output.

    Parameters
    ----------
    backbone : TorchBackbone
        The net.
    layer : str
        Canonical or dotted name.

    Raises
    ------
    BackboneError
        If the layer is unknown.
    """

    def __init__(self, backbone: TorchBackbone, layer: str) -> None:
        super().__init__()
        tapped = backbone._net
        self.net, self.layout = tapped.net, tapped._layout
        self.tap = find_tap(tapped.name, layer, tapped._trace, tapped._layout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, maps as ``(n, channels, height, width)``."""
        module = self.net.get_submodule(self.tap.module)
        outputs: list[Tensor] = []

        def keep(*seen: Any) -> None:
            value = seen[1][0] if self.tap.enters else seen[2]
            outputs.append(value.clone())  # a later in-place module must not change it

        if self.tap.enters:
            handle = module.register_forward_pre_hook(keep)
        else:
            handle = module.register_forward_hook(keep)
        try:
            self.net(x)
        finally:
            handle.remove()
        return as_maps(outputs[-1], self.tap, self.layout)
