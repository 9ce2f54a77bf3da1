"""Images to pretrained features, features to honest results tables."""

import importlib
from typing import TYPE_CHECKING, Any

from decaf._version import __version__

if TYPE_CHECKING:
    from decaf.backbones import load_backbone
    from decaf.datasets import load_dataset
    from decaf.evaluation import evaluate
    from decaf.extraction import extract
    from decaf.prediction import predict
    from decaf.records import Cluster, Compute, Fit, Net, Overrides, Source, Space, View
    from decaf.settings_search import tune
    from decaf.store import FeatureStore
    from decaf.training import train
    from decaf.transformer import DecafFeatures
    from decaf.tuning import finetune

__all__ = [
    "Cluster",
    "Compute",
    "DecafFeatures",
    "FeatureStore",
    "Fit",
    "Net",
    "Overrides",
    "Source",
    "Space",
    "View",
    "__version__",
    "evaluate",
    "extract",
    "finetune",
    "load_backbone",
    "load_dataset",
    "predict",
    "train",
    "tune",
]

# Imported when first used: torch and scikit-learn take seconds, and `decaf --help` needs neither.
_HOMES = {
    **dict.fromkeys(
        ("Cluster", "Compute", "Fit", "Net", "Overrides", "Source", "Space", "View"),
        "decaf.records",
    ),
    "DecafFeatures": "decaf.transformer",
    "FeatureStore": "decaf.store",
    "evaluate": "decaf.evaluation",
    "extract": "decaf.extraction",
    "finetune": "decaf.tuning",
    "load_backbone": "decaf.backbones",
    "load_dataset": "decaf.datasets",
    "predict": "decaf.prediction",
    "train": "decaf.training",
    "tune": "decaf.settings_search",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module 'decaf' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
