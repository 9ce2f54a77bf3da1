"""Images to a fine-tuned net and its head: `finetune`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from decaf.backbones.weights import file_sha256
from decaf.classifier import Classifier
from decaf.errors import ConfigError
from decaf.extraction import extract_table, load_nets, source_table
from decaf.finetuning import (
    FINETUNE,
    FineTuned,
    FineTuning,
    Frozen,
    Recipe,
    name_stopped,
    parse_recipe,
    rule_images,
    tuning_precision,
)
from decaf.metrics import METRICS
from decaf.progress import log, show_progress
from decaf.protocols import PublishedProtocol, training_rows, view_features
from decaf.protocols.draw import hold_out, strata
from decaf.records import Compute, Fit, Net, Source, View, takes_records
from decaf.store import FeatureStore
from decaf.stored_images import one_layer, refuse_domains, store_at
from decaf.tensor_file import write_tensors
from decaf.training import model_rule, said_by
from decaf.types import FloatArray, ImageDataset, IntArray, Split
from decaf.whole_files import require_output


@takes_records
def finetune(
    dataset: str | Path | ImageDataset,
    net: Net = Net(),
    view: View = View(),
    *,
    recipe: str | Recipe = "",
    fit: Fit = Fit(),
    source: Source = Source(),
    compute: Compute = Compute(),
    out: str | Path = "finetuned.safetensors",
) -> Path:
    """Train a net's last blocks, or all of it, together with a head, on a data set's images.

    The head starts as the linear one on the frozen net's features. Where the data set has an
    official split, what it tests is left out: its test side, or its validation side where it has
    no other. A part of the other images chooses the number of
    epochs; then all of them train. A run that was stopped goes on after its last whole epoch when
    it is called again, and ends with the same weights, to the bit on a CPU.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        A data set as `decaf.extract` takes it.
    net : Net
        The net, and the layer that the head is on; the deepest of its own among
        ``pool5,fc6,fc7`` if none is given. What it computes in is by autocast; its weights are
        trained in fp32.
    view : View
        ``center``, ``warp`` or ``squash``: the plain view, that of validation and prediction.
    recipe : str or Recipe
        How to train, as ``blocks=2,epochs=40,lr=1e-3``; see `decaf.finetuning.Recipe`. What is
        not said is its default, or for random weights that of `decaf.finetuning.FROM_SCRATCH`.
    fit : Fit
        What is done to features before the head, ``l2`` if it does not say; ``standard`` counts
        for the head's start only.
    source : Source
        Which images.
    compute : Compute
        Where and how it runs.
    out : str or pathlib.Path
        The model for `decaf.predict`, a ``.safetensors`` file; the net's weights, which `Net`
        takes, are written beside it as ``NAME-weights.safetensors``.

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
    path, weights_path = _checked(dataset, net, recipe, fit, Path(out), source=source)
    table = source_table(dataset, source)
    rule = model_rule(table, view, fit)
    (backbone, *_) = load_nets(replace(net, precision="fp32"), compute.device)
    how = parse_recipe(recipe, backbone.weights, labels=table.labels)
    images = rule_images(table, backbone, rule, source.decoder, recipe=how, workers=compute.workers)
    (layer,) = one_layer(net.layer_names or tuple(backbone.default_layers[-1:]))
    net = replace(net, layers=layer)
    stored = extract_table(table, [backbone], net, view, source=source, compute=compute)
    with FeatureStore(stored) as store:
        rows = training_rows(table, np.asarray(store.done, np.bool_))
        X, digest = view_features(store[layer][:], rule).train, store.digest
    tuning = FineTuning(
        backbone=backbone,
        layer=layer,
        pool=net.pool,
        images=images,
        recipe=how,
        precision=tuning_precision(net.precision, backbone),
        folder=path.parent,
        digest=digest,
        epochs=path.with_name(f"{path.stem}-epochs") if how.keep_epochs else None,
    )
    tuned = _fit(tuning, table, rule, rows, X, seed=fit.seed, quiet=compute.quiet)
    Classifier(
        weights=str(weights_path),
        weights_sha256=_write_weights(weights_path, tuned),
        seed=fit.seed,
        decoder=source.decoder,
        multilabel=table.labels.ndim == 2,
        class_names=tuple(table.class_names[c] for c in tuned.classes_),
        **_said_by(tuning, tuned),
        **said_by(rule),
    ).save(path)
    tuning.clear()
    name_stopped(path.parent)
    if not compute.quiet:
        log(f"{len(rows)} images; {tuned.said()}; wrote {path} and {weights_path}")
    return path


def _checked(
    dataset: object, net: Net, recipe: str | Recipe, fit: Fit, path: Path, *, source: Source
) -> list[Path]:
    """Return where the model and its net's weights go; refuse what is wrong before any work."""
    weights_path = path.with_name(f"{path.stem}-weights.safetensors")
    for file in (path, weights_path):
        require_output(file, ".safetensors", inputs=[net.weights])
    parse_recipe(recipe)  # what is wrong with it is said before the net is loaded
    fit.only("fine-tuning", "normalize", "c_grid", "seed")
    refuse_domains("fine-tuning", source)
    if store_at(dataset):
        raise ConfigError(f"asked to fine-tune on {dataset}, which has no images; give a data set")
    return [path, weights_path]


def _fit(
    tuning: FineTuning,
    table: ImageDataset,
    rule: PublishedProtocol,
    rows: IntArray,
    X: FloatArray,
    *,
    seed: int,
    quiet: bool,
) -> FineTuned:
    """Choose the number of epochs on a part of the rows, then train on all of them."""
    device, part = tuning.backbone.device.type, tuning.recipe.validation
    score = METRICS[rule.metric].score
    frozen = Frozen(X, rule.normalize, *rule.c_values(X, rows), score, device)
    drawn = strata(table, rows, np.random.default_rng(seed))
    split = Split(rows, rows[:0], hold_out(drawn, part) if part else (), seed)
    with show_progress("fine-tuning", tuning.n_epochs, "epochs", quiet=quiet) as advance:
        return tuning.fit(split, table.labels, frozen, advance)


def _said_by(tuning: FineTuning, tuned: FineTuned) -> dict[str, Any]:
    """Return the fields of a `Classifier` that fine-tuning decides."""
    return {
        "backbone": tuning.backbone.name,
        "precision": tuning.precision,
        "layer": tuning.layer,
        "pool": tuning.pool,
        "head": FINETUNE,
        "layers": (tuned.head(),),
    }


def _write_weights(path: Path, tuned: FineTuned) -> str:
    """Write the net's weights and return the file's SHA-256."""
    write_tensors(path, tuned.state(), {"format": "pt"})
    return file_sha256(path)
