"""Frozen nets with named layers, their weights and their preprocessing."""

from decaf.backbones.backbone import (
    START,
    TorchBackbone,
    default_layers,
    layer_table,
)
from decaf.backbones.dense import DensePass, dense_pass, map_stride
from decaf.backbones.families import backbone_names, get_weights
from decaf.backbones.loading import load_backbone, load_everywhere, wrap_module
from decaf.backbones.pooling import pool_features
from decaf.choices import check_pool

__all__ = [
    "START",
    "DensePass",
    "TorchBackbone",
    "backbone_names",
    "check_pool",
    "default_layers",
    "dense_pass",
    "get_weights",
    "layer_table",
    "load_backbone",
    "load_everywhere",
    "map_stride",
    "pool_features",
    "wrap_module",
]
