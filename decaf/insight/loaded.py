"""The net that is looked into."""

from decaf.backbones import TorchBackbone, load_backbone
from decaf.records import Net


def loaded(net: Net, device: str = "auto") -> TorchBackbone:
    """Return a net; of the record its backbone, weights, layers, seed and allow_code may be given.

    Raises
    ------
    BackboneError
        If the net is unknown, or weights are missing or do not fit.
    ConfigError
        If another field is given, the device is not to be had, or code is not allowed.
    """
    net.only("a look into a net", "backbone", "weights", "layers", "seed", "allow_code")
    return load_backbone(
        net.backbone, weights=net.weights, device=device, seed=net.seed, allow_code=net.allow_code
    )
