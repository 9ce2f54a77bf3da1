"""Images to a classifier: `train` fits one head on all training images and writes a file."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from decaf.backbones import TorchBackbone, load_backbone
from decaf.choices import Normalize, PatchEdges, Pixels, Pool, Precision, View, checked
from decaf.classifier import Classifier
from decaf.datasets import load_dataset
from decaf.device import find_device
from decaf.errors import ConfigError
from decaf.extraction import extract, make_plan, patch_rule
from decaf.heads import HEADS, fit_splits
from decaf.heads.estimators import LinearModel
from decaf.heads.matrices import calibrate, head_layers, scores_of
from decaf.metrics import METRICS
from decaf.progress import log
from decaf.protocols import (
    PatchFeatures,
    PublishedProtocol,
    ViewFeatures,
    get_protocol,
    training_rows,
)
from decaf.protocols.draw import folds, strata
from decaf.store import FeatureStore
from decaf.stored_images import StoredImages
from decaf.types import FloatArray, ImageDataset, IntArray, PatchRule, Split

N_FOLDS = 5
PATCH_POWER = 5.0


@checked
def train(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layer: str | None = None,
    pool: Pool = "none",
    views: View = "center",
    patch_scales: str | Sequence[float] | None = None,
    patches_per_image: int | None = None,
    patch_edges: PatchEdges | None = None,
    background_share: float | None = None,
    patch_power: float | None = None,
    head: str = "svm",
    normalize: Normalize | None = None,
    out: str | Path = "model.safetensors",
    features: str | Path = "features",
    device: str = "auto",
    precision: Precision = "fp32",
    pixels: Pixels = "auto",
    batch_size: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    data_root: str | Path = "data",
    allow_partial: bool = False,
    max_failures: float = 0.05,
    seed: int = 0,
    allow_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Train one head on a data set's images and write it with all that prediction needs.

    Where the data set has an official split, what it tests is left out: its test side, or its
    validation side where it has no other. C is chosen by cross-validation; an SVM's margins become
    probabilities by what fits the scores of held-out folds, see `decaf.heads.matrices.calibrate`.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, a CSV manifest, or a table.
    backbone, weights : optional
        The net; see `decaf.extract`.
    layer : str, optional
        Canonical or dotted name; the deepest of the net's own among ``pool5,fc6,fc7`` if not
        given.
    pool, views : str
        What is taken from the layer; see `decaf.extract`. Several crops are averaged.
    patch_scales, patches_per_image, patch_edges : optional
        With views ``patches`` or ``dense``, which patches; see `decaf.extract`. They train without
        normalisation, as rows of their own.
    background_share : float, optional
        Share of the background patches that train; 0.1 if not given.
    patch_power : float, optional
        With patches, exponent of the power mean that makes an image's probability of its
        patches'; 5 if not given.
    head : str
        ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout`` or ``adaptation``.
    normalize : str, optional
        ``none``, ``l2`` (the default), ``standard`` or ``signed-square``; with patches ``none``
        alone.
    out : str or pathlib.Path
        The model, a ``.safetensors`` file.
    features : str or pathlib.Path
        A store (``.h5``), or the folder of stores.
    device, precision, pixels, batch_size, workers : optional
        How features are extracted; see `decaf.extract`. `device` also trains the head.
    limit, data_root, allow_partial, max_failures : optional
        Which images; see `decaf.extract`.
    seed : int
        Seed of folds, heads and random weights.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.
    quiet : bool
        Print no progress.

    Returns
    -------
    pathlib.Path
        The model.

    Raises
    ------
    ConfigError
        If an option is wrong.
    DataError
        If the data set is missing or malformed, or a class has no usable image.
    BackboneError
        If the net, its weights or the layer is not usable.
    StoreError
        If the store cannot be read or written.
    """
    path = Path(out)
    _check(head, path)
    find_device(device)
    table = load_dataset(dataset, Path(data_root), allow_partial=allow_partial, limit=limit)
    patches = patch_rule(views, patch_scales, patches_per_image, patch_edges)
    normalize, patch_power = _of_rows(patches, normalize, patch_power)
    rule = get_protocol(
        "holdout",
        table,
        normalize=normalize,
        seed=seed,
        view=views,
        patches=None if patches is None else vars(patches),
        background_share=background_share,
        patch_power=None if patches is None else patch_power,
    )
    net = load_backbone(
        backbone,
        weights=weights,
        device=device,
        precision=precision,
        seed=seed,
        allow_code=allow_code,
    )
    whole_view = views if patches is None else "center"
    asked = make_plan(
        table, net, layers=None if layer is None else [layer], pool=pool, view=whole_view
    )
    store_path = extract(
        table,
        backbone=net,
        layers=[asked.layers[-1]],
        pool=pool,
        views=views,
        patch_scales=patch_scales,
        patches_per_image=patches_per_image,
        patch_edges=patch_edges,
        out=features,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
        quiet=quiet,
    )
    with FeatureStore(store_path) as store:
        images = StoredImages(table, store, rule)
        rows = training_rows(table, images.done)
        used = images.features(asked.layers[-1])
        names = table.class_names if patches is None else store.class_names
        task = _Fit(table, used, rows, rule, device, store_path.parent)
        fitted = task.fit(head)
    Classifier(
        backbone=net.name,
        weights=weights if isinstance(backbone, str) else net.weights,
        weights_sha256=net.weights_sha256,
        seed=seed,
        precision=net.precision,
        layer=asked.layers[-1],
        pool=pool,
        view=views,
        pixels=pixels,
        normalize="none" if rule.normalize == "standard" else rule.normalize,
        head=head,
        patches=patches,
        patch_power=patch_power,
        multilabel=task.labels.ndim == 2,
        class_names=tuple(names[c] for c in fitted.classes),
        layers=fitted.layers,
    ).save(path)
    if not quiet:
        log(f"{len(rows)} images of {len(fitted.classes)} classes; {fitted.said}; wrote {path}")
    return path


def _check(head: str, out: Path) -> None:
    if head == "knn" or head not in HEADS:
        names = ", ".join(name for name in HEADS if name != "knn")
        found = "keeps the training images" if head == "knn" else "is unknown"
        raise ConfigError(f"asked to train head {head!r}, which {found}; choose one of: {names}")
    if out.suffix != ".safetensors":
        raise ConfigError(f"asked to write the model {out}; give a name that ends in .safetensors")


def _of_rows(
    patches: PatchRule | None, normalize: Normalize | None, power: float | None
) -> tuple[Normalize, float]:
    """Return how rows are normalised and pooled; refuse what they are not."""
    if patches is None:
        if power is not None:
            raise ConfigError("patch_power is for patches; give views 'patches' or 'dense'")
        return normalize or "l2", PATCH_POWER
    if normalize not in (None, "none"):
        raise ConfigError(
            f"asked to normalise patches by {normalize!r}; they train as rows of their own, "
            "without; give normalize 'none'"
        )
    power = PATCH_POWER if power is None else power
    if not 0 < power < math.inf:
        raise ConfigError(f"patch_power is a number above 0, found {power:g}")
    return "none", power


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What a head has learned, ready to be written."""

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    classes: IntArray
    said: str


@dataclass(frozen=True, eq=False)
class _Fit:
    """The training images of one classifier."""

    table: ImageDataset
    features: ViewFeatures | PatchFeatures
    images: IntArray
    rule: PublishedProtocol
    device: str
    folder: Path

    @cached_property
    def labels(self) -> IntArray:
        """Labels of the features' rows."""
        return self.features.labels(self.table.labels)

    def fit(self, name: str) -> _Fitted:
        """Choose C, fit on all rows, and make probabilities of margins."""
        head: Any = HEADS[name](device=self.device)
        if "random_state" in head.get_params():
            head.set_params(random_state=self.rule.seed)
        if "checkpoint" in head.get_params():
            head.set_params(checkpoint=str(self.folder))
        X, linear = self.features.train, isinstance(head, LinearModel)
        groups = strata(self.table, self.images, np.random.default_rng(self.rule.seed))
        nothing = self.images[:0]
        split = self.features.training_split(
            Split(self.images, nothing, folds(groups, N_FOLDS, self.table.labels), 0)
        )
        rows, inner = split.train, split.inner
        grid, fixed = self.rule.c_values(X, rows)
        metric = METRICS["mean_per_class" if self.labels.ndim == 1 else self.rule.metric]
        run = partial(
            fit_splits,
            head,
            X,
            self.labels,
            score=metric.score if self.labels.ndim == 1 else minus_hinge,
            standardize=self.rule.normalize == "standard",
            class_names=self.table.class_names,
        )
        (whole,) = run([split], c_grid=grid, fixed_c=fixed)
        learned: Any = whole.head
        layers = head_layers(learned)
        said = "no validation: a class has a single image" if linear else learned.summary_
        if inner and linear:
            refits = [Split(fit, nothing, (), 0) for fit, _ in inner]
            parts = run(refits, c_grid=grid, fixed_c=whole.C or fixed)
            held_out = [rows for _, rows in inner]
            scores = np.concatenate(
                [
                    scores_of(part.decision_function(X[v]), part.head.classes_, learned.classes_)
                    for part, v in zip(parts, held_out, strict=True)
                ]
            )
            labels = self.labels[np.concatenate(held_out)]
            value = metric.score(labels, scores, learned.classes_)
            said = f"C = {whole.C:g}; {metric.name} {value:.3f} on held-out folds"
            if name.startswith("svm"):
                factors, offsets = calibrate(scores, labels, learned.classes_)
                weight, bias = layers[-1]
                layers[-1] = (weight * factors[:, None], bias * factors + offsets)
        said = "; ".join([said, *whole.notes])
        return _Fitted(tuple(layers), learned.classes_, said)


def minus_hinge(labels: IntArray, scores: FloatArray, _: Any) -> float:
    """Return minus the mean squared hinge of a label matrix; unlike precision, it sees offsets."""
    return -float(np.square(np.maximum(0, 1 - labels * scores))[labels != 0].mean())
