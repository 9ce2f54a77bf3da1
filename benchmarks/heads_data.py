"""Features and splits for `bench_heads.py`: real ones of Caltech-101, and generated ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

import decaf
from decaf.datasets import load_dataset
from decaf.protocols import get_protocol
from decaf.store import FeatureStore
from decaf.types import FloatArray, IntArray, Split


@dataclass(frozen=True, eq=False)
class Task:
    """Features, labels, and the rows to fit and to test on."""

    X: FloatArray
    y: IntArray
    splits: list[Split]


def caltech101(assets: Path, features: Path, n_splits: int) -> Task:
    """Return the assets' part of Caltech-101 under DeCAF's protocol, in unit norms."""
    root = assets / "data"
    path = decaf.extract(
        "caltech101",
        decaf.Net(
            "squeezenet1_0",
            weights=str(next((assets / "weights").glob("squeezenet1_0*.safetensors"))),
            layers="features.12",
            pool="grid:3",
        ),
        decaf.View("warp"),
        source=decaf.Source(data_root=str(root), allow_partial=True),
        out=features,
    )
    table = load_dataset("caltech101", root, allow_partial=True)
    rule = get_protocol("decaf", table, decaf.Overrides(splits=n_splits))
    with FeatureStore(path) as store:
        X = store["features.12"][:]
        splits = list(rule.splits(table, np.asarray(store.done, np.bool_)))
    return Task(X / np.linalg.norm(X, axis=1, keepdims=True), table.labels, splits)


def generated(n_images: int, n_features: int, n_classes: int, seed: int = 0) -> Task:
    """Return features like those after a ReLU: about 20 % non-zero, some of them a class's own.

    Each class raises a tenth of the features. Rows have unit norm; the classes are as large as
    each other.
    """
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_images) % n_classes)
    means = (rng.random((n_classes, n_features)) < 0.1).astype(np.float32)
    X = np.empty((n_images, n_features), np.float32)
    for start in range(0, n_images, 1000):
        rows = slice(start, start + 1000)
        noise = rng.standard_normal((len(y[rows]), n_features), np.float32)
        X[rows] = np.maximum(noise - 0.95 + means[y[rows]], 0)
    X /= np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-12)
    everything = np.arange(n_images)
    return Task(X, y, [Split(everything, everything[:0], (), 0)])


def multilabel(n_images: int, n_features: int, n_classes: int, n_folds: int) -> Task:
    """Return generated features with labels 1, -1 and 0: one class or two an image, 3 % unsure."""
    task = generated(n_images, n_features, n_classes)
    rng = np.random.default_rng(1)
    labels = np.where(task.y[:, None] == np.arange(n_classes), 1, -1)
    more = rng.random(n_images) < 0.5
    labels[more, rng.integers(n_classes, size=n_images)[more]] = 1
    labels[rng.random(labels.shape) < 0.03] = 0
    order = rng.permutation(n_images)
    parts = np.array_split(order, n_folds)
    inner = tuple(
        (np.sort(np.concatenate([p for j, p in enumerate(parts) if j != i])), np.sort(parts[i]))
        for i in range(n_folds)
    )
    everything = np.arange(n_images)
    return Task(task.X, labels, [Split(everything, everything[:0], inner, 0)])
