"""Images to pretrained features, features to honest results tables."""

import importlib
from typing import TYPE_CHECKING, Any

from decaf._version import __version__

if TYPE_CHECKING:
    from decaf.backbones import load_backbone
    from decaf.datasets import load_dataset
    from decaf.detection import Detector, detect, evaluate_detector, train_detector
    from decaf.detection_records import Applied, Detection
    from decaf.evaluation import evaluate
    from decaf.extraction import extract, extract_nets
    from decaf.prediction import predict
    from decaf.records import Cluster, Compute, Fit, Net, Overrides, Search, Source, Space, View
    from decaf.retrieval.index import Index
    from decaf.searching import search
    from decaf.settings_search import tune
    from decaf.store import FeatureStore
    from decaf.training import train
    from decaf.transformer import DecafFeatures
    from decaf.tuning import finetune

__all__ = [
    "Applied",
    "Cluster",
    "Compute",
    "DecafFeatures",
    "Detection",
    "Detector",
    "FeatureStore",
    "Fit",
    "Index",
    "Net",
    "Overrides",
    "Search",
    "Source",
    "Space",
    "View",
    "__version__",
    "detect",
    "evaluate",
    "evaluate_detector",
    "extract",
    "extract_nets",
    "finetune",
    "load_backbone",
    "load_dataset",
    "predict",
    "search",
    "train",
    "train_detector",
    "tune",
]

# Imported when first used: torch and scikit-learn take seconds, and `decaf --help` needs neither.
_HOMES = {
    **dict.fromkeys(
        ("Cluster", "Compute", "Fit", "Net", "Overrides", "Search", "Source", "Space", "View"),
        "decaf.records",
    ),
    **dict.fromkeys(("Applied", "Detection"), "decaf.detection_records"),
    "DecafFeatures": "decaf.transformer",
    "FeatureStore": "decaf.store",
    **dict.fromkeys(
        ("Detector", "detect", "evaluate_detector", "train_detector"), "decaf.detection"
    ),
    "Index": "decaf.retrieval.index",
    "evaluate": "decaf.evaluation",
    "extract": "decaf.extraction",
    "extract_nets": "decaf.extraction",
    "finetune": "decaf.tuning",
    "load_backbone": "decaf.backbones",
    "load_dataset": "decaf.datasets",
    "predict": "decaf.prediction",
    "search": "decaf.searching",
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
