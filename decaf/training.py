"""Pictures to a classifier: `train` fits one head on all training pictures and writes a file."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from decaf.backbones import TorchBackbone, load_backbone
from decaf.classifier import Classifier
from decaf.datasets import load_dataset
from decaf.device import find_device
from decaf.errors import ConfigError, DataError
from decaf.extraction import extract, make_plan, patch_rule
from decaf.heads import HEADS, fit_splits
from decaf.heads.linear import LinearModel
from decaf.heads.matrices import calibrate, head_layers
from decaf.images.decode import Pixels
from decaf.metrics import METRICS
from decaf.pictures import StoredPictures
from decaf.progress import log
from decaf.protocols import (
    Normalize,
    PatchFeatures,
    PublishedProtocol,
    ViewFeatures,
    get_protocol,
)
from decaf.protocols.draw import folds, strata
from decaf.store import FeatureStore
from decaf.types import FloatArray, ImageDataset, IntArray, Split

N_FOLDS = 5
_UNTRAINED_SIDES = (0, 3)  # codes of ImageDataset.official: unused, test


def train(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layer: str | None = None,
    pool: str = "none",
    views: str = "center",
    patch_scales: str | Sequence[float] | None = None,
    patches_per_image: int | None = None,
    patch_edges: str | None = None,
    background_share: float | None = None,
    patch_power: float = 5.0,
    head: str = "svm",
    normalize: Normalize = "l2",
    out: str | Path = "model.safetensors",
    features: str | Path = "features",
    device: str = "auto",
    precision: str = "fp32",
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
    """Train one head on a data set's pictures and write it with all that prediction needs.

    Where the data set has an official split, its test side is left out. C is chosen by
    cross-validation; an SVM's margins become probabilities by what fits the scores of held-out
    folds, see `decaf.heads.matrices.calibrate`.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, a CSV manifest, or a table.
    backbone, weights, pool, views
        The net and what is taken from it; see `decaf.extract`. Several crops are averaged.
    patch_scales, patches_per_image, patch_edges, background_share : optional
        With views ``patches`` or ``dense``, which patches; see `decaf.extract`. They train without
        normalisation, as rows of their own.
    patch_power : float
        Exponent of the power mean that makes a picture's probability of its patches'.
    layer : str, optional
        Canonical or dotted name; the deepest of the net's own among ``pool5,fc6,fc7`` if not
        given.
    head : str
        ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout`` or ``adaptation``.
    normalize : str
        ``none``, ``l2``, ``standard`` or ``signed-square``.
    out : str or pathlib.Path
        The model, a ``.safetensors`` file.
    features : str or pathlib.Path
        A store (``.h5``), or the folder of stores.
    device, precision, pixels, batch_size, workers, limit, data_root, allow_partial, max_failures
        How features are extracted; see `decaf.extract`. `device` also trains the head.
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
        If the data set is missing or malformed, or a class has no usable picture.
    BackboneError
        If the net, its weights or the layer is not usable.
    StoreError
        If the store cannot be read or written.
    """
    path = Path(out)
    _check(head, path)
    find_device(device)
    table = load_dataset(dataset, Path(data_root), allow_partial=allow_partial, limit=limit)
    patches = patch_rule(views, patch_scales, patches_per_image, patch_edges, background_share)
    normalize = normalize if patches is None else "none"
    rule = get_protocol("holdout", table, normalize=normalize, seed=seed)
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
        background_share=background_share,
        out=features,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
        quiet=quiet,
    )
    rule = replace(rule, view=views, patches=patches)
    with FeatureStore(store_path) as store:
        pictures = StoredPictures(table, store, rule)
        rows = training_rows(table, pictures.done)
        used = pictures.features(asked.layers[-1])
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
        log(f"{len(rows)} pictures of {len(fitted.classes)} classes; {fitted.said}; wrote {path}")
    return path


def _check(head: str, out: Path) -> None:
    if head == "knn" or head not in HEADS:
        names = ", ".join(name for name in HEADS if name != "knn")
        found = "keeps the training pictures" if head == "knn" else "is unknown"
        raise ConfigError(f"asked to train head {head!r}, which {found}; choose one of: {names}")
    if out.suffix != ".safetensors":
        raise ConfigError(f"asked to write the model {out}; give a name that ends in .safetensors")


def training_rows(table: ImageDataset, done: Any) -> IntArray:
    """Return the usable rows that are not on an official test side.

    Raises
    ------
    DataError
        If a class has none.
    """
    usable = done
    if table.official is not None:
        usable = done & ~np.isin(table.official[:, 0], _UNTRAINED_SIDES)
    rows = np.flatnonzero(usable)
    if table.labels.ndim == 1:
        counts = np.bincount(table.labels[rows], minlength=len(table.class_names))
        if not counts.all():
            raise DataError(
                f"class '{table.class_names[int(counts.argmin())]}' of {table.name} has no usable "
                "picture to train on; add some or remove the class"
            )
    return rows


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What a head has learned, ready to be written."""

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    classes: IntArray
    said: str


@dataclass(frozen=True, eq=False)
class _Fit:
    """The training pictures of one classifier."""

    table: ImageDataset
    features: ViewFeatures | PatchFeatures
    pictures: IntArray
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
        groups = strata(self.table, self.pictures, np.random.default_rng(self.rule.seed))
        nothing = self.pictures[:0]
        split = self.features.training_split(
            Split(self.pictures, nothing, folds(groups, N_FOLDS), 0)
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
        said = "no validation: a class has a single picture" if linear else learned.summary_
        if inner and linear:
            refits = [Split(fit, nothing, (), 0) for fit, _ in inner]
            parts = run(refits, c_grid=grid, fixed_c=whole.C or fixed)
            scores = np.concatenate(
                [p.decision_function(X[v]) for p, (_, v) in zip(parts, inner, strict=True)]
            )
            labels = self.labels[np.concatenate([held_out for _, held_out in inner])]
            value = metric.score(labels, scores, learned.classes_)
            said = f"C = {whole.C:g}; {metric.name} {value:.3f} on held-out folds"
            if name.startswith("svm"):
                factors, offsets = calibrate(scores, labels)
                weight, bias = layers[-1]
                layers[-1] = (weight * factors[:, None], bias * factors + offsets)
        said = "; ".join([said, *whole.notes])
        return _Fitted(tuple(layers), learned.classes_, said)


def minus_hinge(labels: IntArray, scores: FloatArray, _: Any) -> float:
    """Return minus the mean squared hinge of a label matrix; unlike precision, it sees offsets."""
    return -float(np.square(np.maximum(0, 1 - labels * scores))[labels != 0].mean())
