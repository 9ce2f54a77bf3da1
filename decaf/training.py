"""Images to a classifier: `train` fits one head on all training images and writes a file."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from decaf.cells import new_head
from decaf.choices import Precision, check_choice
from decaf.classifier import Classifier
from decaf.device import find_device
from decaf.errors import ConfigError
from decaf.extraction import extract_table, load_nets, patch_rule, source_table
from decaf.heads import HEADS, fit_splits
from decaf.heads.estimators import LinearModel
from decaf.heads.scores import calibrate, head_layers
from decaf.heads.select import held_out_scores
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
from decaf.records import Compute, Fit, Net, Overrides, Source, View, takes_records
from decaf.store import FeatureStore
from decaf.stored_images import (
    StoredImages,
    one_layer,
    refuse_domains,
    refuse_for_store,
    store_at,
    stored_view,
)
from decaf.types import FloatArray, ImageDataset, IntArray, Split, label_kind
from decaf.whole_files import require_output

N_FOLDS = 5


@takes_records
def train(
    data: str | Path | ImageDataset,
    net: Net = Net(),
    view: View = View(),
    *,
    head: str = "svm",
    fit: Fit = Fit(),
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path = "model.safetensors",
) -> Path:
    """Train one head on a data set's images and write it with all that prediction needs.

    Where the data set has an official split, what it tests is left out: its test side, or its
    validation side where it has no other. C is chosen by
    cross-validation; an SVM's margins become probabilities by what fits the scores of held-out
    folds, see `decaf.heads.scores.calibrate`.

    Parameters
    ----------
    data : str, pathlib.Path or ImageDataset
        A store (``.h5``), or a data set as `decaf.extract` takes it.
    net : Net
        The net, and one layer; the deepest of its own among ``pool5,fc6,fc7`` if none is given.
    view : View
        What a row shows. Several crops are averaged; patches train without normalisation, as rows
        of their own.
    head : str
        ``svm``, ``logreg``, ``svm-dropout``, ``logreg-dropout`` or ``adaptation``.
    fit : Fit
        How it is trained; features are normalised by ``l2`` if it does not say.
    source : Source
        Which images of a data set.
    compute : Compute
        Where and how features are extracted and the head trained.
    out : str or pathlib.Path
        The model, a ``.safetensors`` file.

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
    _check(head, path, net.weights)
    refuse_domains("training a model", source)
    find_device(compute.device)
    stored = store_at(data)
    if stored is None:
        given = _extracted(data, net, view, fit, head=head, source=source, compute=compute)
    else:
        given = _opened(stored, net, view, fit, source)
    table, rule = given.table, given.rule
    with FeatureStore(given.path) as store:
        made = store.provenance
        images = StoredImages(table, store, rule)
        rows = training_rows(table, images.done)
        names = table.class_names if rule.patches is None else store.class_names
        features = images.features(given.layer)
        task = _Fit(table, features, rows, rule, compute.device, given.path.parent)
        fitted = task.fit(head)
    Classifier(
        backbone=made.backbone,
        weights=given.weights,
        weights_sha256=made.weights_sha256,
        seed=net.seed,
        precision=cast("Precision", made.precision),
        layer=given.layer,
        pool=made.pooling,
        decoder=given.decoder,
        head=head,
        multilabel=task.labels.ndim == 2,
        class_names=tuple(names[c] for c in fitted.classes),
        layers=fitted.layers,
        **said_by(rule),
    ).save(path)
    if not compute.quiet:
        log(f"{len(rows)} images of {len(fitted.classes)} classes; {fitted.said}; wrote {path}")
    return path


@dataclass(frozen=True)
class _Given:
    """Stored features of images, and what a model must know beside them."""

    table: ImageDataset
    rule: PublishedProtocol
    path: Path
    layer: str
    weights: str
    decoder: Any


def _extracted(
    data: str | Path | ImageDataset,
    net: Net,
    view: View,
    fit: Fit,
    *,
    head: str,
    source: Source,
    compute: Compute,
) -> _Given:
    table = source_table(data, source)
    rule = model_rule(table, view, fit)
    new_head(head, rule, compute.device, kind=table.label_kind)
    nets = load_nets(net, compute.device)
    layers = one_layer(net.layer_names or tuple(nets[0].default_layers[-1:]))
    path = extract_table(
        table, nets, replace(net, layers=layers), view, source=source, compute=compute
    )
    weights = net.weights if isinstance(net.backbone, str) else nets[0].weights
    return _Given(table, rule, path, layers[0], weights, source.decoder)


def _opened(path: Path, net: Net, view: View, fit: Fit, source: Source) -> _Given:
    refuse_for_store(path, net, source)
    with FeatureStore(path) as store:
        table, made = store.image_table(), store.provenance
        rule = model_rule(table, stored_view(store, view), fit)
        (layer,) = one_layer(net.layer_names or store.layers[-1:])
    return _Given(table, rule, path, layer, made.weights, made.decoder)


def said_by(rule: PublishedProtocol) -> dict[str, Any]:
    """Return the fields of a `Classifier` that a rule decides."""
    return {
        "view": rule.view,
        "normalize": "none" if rule.normalize == "standard" else rule.normalize,
        "patches": rule.patches,
        "patch_power": rule.patch_power,
    }


def model_rule(table: ImageDataset, view: View, fit: Fit) -> PublishedProtocol:
    """Return the rule by which a model to keep is trained."""
    table.require_classes("a model")
    normalize = fit.normalize or (None if patch_rule(view) else "l2")
    overrides = Overrides(
        normalize=normalize,
        c_grid=fit.c_grid,
        class_weight=fit.class_weight,
        patch_power=fit.patch_power,
        background_share=fit.background_share,
        seed=fit.seed,
        view=view if view.view else replace(view, view="center"),
    )
    return get_protocol("holdout", table, overrides)


def _check(head: str, out: Path, weights: str) -> None:
    names = tuple(name for name in HEADS if name != "knn")
    if head == "knn":
        raise ConfigError(
            "asked to train head 'knn', which keeps the training images; choose one of: "
            f"{', '.join(names)}"
        )
    check_choice("head", head, names)
    require_output(out, ".safetensors", inputs=[weights])


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
        head: Any = new_head(name, self.rule, self.device, kind=label_kind(self.labels))
        if "random_state" in head.get_params():
            head.set_params(random_state=self.rule.seed)
        if "checkpoint" in head.get_params():
            head.set_params(checkpoint=str(self.folder))
        X, linear = self.features.train, isinstance(head, LinearModel)
        groups = strata(self.table, self.images, np.random.default_rng(self.rule.seed))
        nothing = self.images[:0]
        split = self.features.training_split(Split(self.images, nothing, folds(groups, N_FOLDS), 0))
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
        (whole,) = run([split], c_values=(grid, fixed))
        learned: Any = whole.head
        layers = head_layers(learned)
        said = "no validation: a class has a single image" if linear else learned.summary_
        if inner and linear:
            refit = partial(run, c_values=(grid, whole.C or fixed))
            scores, labels = held_out_scores(refit, X, self.labels, inner, learned.classes_)
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
