"""Frozen nets with named layers, their weights and their preprocessing."""

from decaf.backbones.backbone import (
    TorchBackbone,
    default_layers,
    find_device,
    layer_table,
    load_backbone,
)
from decaf.backbones.pooling import check_pool, pool_features
from decaf.backbones.torchvision_nets import names as backbone_names

__all__ = [
    "TorchBackbone",
    "backbone_names",
    "check_pool",
    "default_layers",
    "find_device",
    "layer_table",
    "load_backbone",
    "pool_features",
]
