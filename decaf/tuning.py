"""TrainingImages to a fine-tuned net and its head: `finetune`."""

from pathlib import Path

import numpy as np

from decaf.backbones import TorchBackbone, load_backbone
from decaf.backbones.weights import file_sha256
from decaf.choices import CropView, Normalize, Pixels, Pool, Precision, checked
from decaf.classifier import Classifier
from decaf.datasets import load_dataset
from decaf.extraction import extract, make_plan
from decaf.finetuning import (
    FINETUNE,
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
from decaf.protocols import get_protocol, training_rows, view_features
from decaf.protocols.draw import hold_out, strata
from decaf.store import FeatureStore
from decaf.tensor_file import write_tensors
from decaf.types import ImageDataset, Split
from decaf.whole_files import require_output


@checked
def finetune(
    dataset: str | Path | ImageDataset,
    *,
    backbone: str | TorchBackbone = "alexnet",
    weights: str = "imagenet",
    layer: str | None = None,
    pool: Pool = "none",
    views: CropView = "center",
    normalize: Normalize = "l2",
    blocks: str | int = "last",
    recipe: str | Recipe = "",
    out: str | Path = "finetuned.safetensors",
    features: str | Path = "features",
    device: str = "auto",
    precision: Precision = "auto",
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
    """Train a net's last blocks, or all of it, together with a head, on a data set's images.

    The head starts as the linear one on the frozen net's features. Where the data set has an
    official split, what it tests is left out: its test side, or its validation side where it has
    no other. A part of the other images chooses the number of
    epochs; then all of them train. A run that was stopped goes on after its last whole epoch when
    it is called again, and ends with the same weights, to the bit on a CPU.

    Parameters
    ----------
    dataset : str, pathlib.Path or ImageDataset
        Name of a data set, a folder of class folders, a CSV manifest, or a table.
    backbone, weights : optional
        The net; see `decaf.extract`.
    layer : str, optional
        Canonical or dotted name of what the head is on; the deepest of the net's own among
        ``pool5,fc6,fc7`` if not given.
    pool : str
        How the layer's output becomes vectors; see `decaf.extract`.
    views : str
        ``center``, ``warp`` or ``squash``: the plain view, that of validation and prediction.
    normalize : str
        ``none``, ``l2``, ``standard`` or ``signed-square``: what is done to features before the
        head; ``standard`` counts for the head's start only.
    blocks : str or int
        ``last``, a number of last blocks, or ``all``; see `decaf.backbones.trainable.blocks_of`.
    recipe : str or Recipe
        How to train, as ``epochs=40,rate=1e-3``; see `decaf.finetuning.Recipe`. What is not said
        is its default, or for random weights that of `decaf.finetuning.FROM_SCRATCH`.
    out : str or pathlib.Path
        The model for `decaf.predict`, a ``.safetensors`` file; the net's weights, which `weights`
        takes, are written beside it as ``NAME-weights.safetensors``.
    features : str or pathlib.Path
        A store (``.h5``), or the folder of stores, of the frozen net's features.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    precision : str
        ``fp32``, ``bf16``, or ``auto``: what the net computes in, by autocast; its weights are
        trained in fp32.
    pixels, batch_size, workers : optional
        How the frozen net's features are extracted; see `decaf.extract`.
    limit, data_root, allow_partial, max_failures : optional
        Which images; see `decaf.extract`.
    seed : int
        Seed of everything that is drawn, and of random weights.
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
    weights_path = path.with_name(f"{path.stem}-weights.safetensors")
    for file in (path, weights_path):
        require_output(file, ".safetensors", inputs=[weights])
    parse_recipe(recipe, blocks)  # what is wrong with it is said before the net is loaded
    table = load_dataset(dataset, Path(data_root), allow_partial=allow_partial, limit=limit)
    rule = get_protocol("holdout", table, normalize=normalize, view=views, seed=seed)
    net = load_backbone(backbone, weights=weights, device=device, seed=seed, allow_code=allow_code)
    how = parse_recipe(recipe, blocks, net.weights, labels=table.labels)
    images = rule_images(table, net, rule, pixels, recipe=how, workers=workers)
    asked = make_plan(table, net, layers=None if layer is None else [layer], pool=pool, view=views)
    store_path = extract(
        table,
        backbone=net,
        layers=[asked.layers[-1]],
        pool=pool,
        views=views,
        out=features,
        pixels=pixels,
        batch_size=batch_size,
        workers=workers,
        max_failures=max_failures,
        quiet=quiet,
    )
    with FeatureStore(store_path) as store:
        rows = training_rows(table, np.asarray(store.done, np.bool_))
        X = view_features(store[asked.layers[-1]][:], rule).train
        digest = store.digest
    tuning = FineTuning(
        backbone=net,
        layer=asked.layers[-1],
        pool=pool,
        images=images,
        recipe=how,
        precision=tuning_precision(precision, net),
        folder=path.parent,
        digest=digest,
    )
    score = METRICS[rule.metric].score
    frozen = Frozen(X, rule.normalize, *rule.c_values(X, rows), score, net.device.type)
    groups = strata(table, rows, np.random.default_rng(seed))
    inner = hold_out(groups, how.validation, table.labels) if how.validation else ()
    split = Split(rows, rows[:0], inner, seed)
    with show_progress("fine-tuning", tuning.n_epochs, "epochs", quiet=quiet) as advance:
        tuned = tuning.fit(split, table.labels, frozen, advance)
    # what the net's own weights lack is nan, and stays missing
    state = {key: value for key, value in tuned.state().items() if not value.isnan().any()}
    write_tensors(weights_path, state, {"format": "pt"})
    Classifier(
        backbone=net.name,
        weights=str(weights_path),
        weights_sha256=file_sha256(weights_path),
        seed=seed,
        precision=tuning.precision,
        layer=tuning.layer,
        pool=pool,
        view=views,
        pixels=pixels,
        normalize="none" if rule.normalize == "standard" else rule.normalize,
        head=FINETUNE,
        patches=None,
        patch_power=rule.patch_power,
        multilabel=table.labels.ndim == 2,
        class_names=tuple(table.class_names[c] for c in tuned.classes_),
        layers=(tuned.head(),),
    ).save(path)
    tuning.clear()
    name_stopped(path.parent)
    if not quiet:
        log(f"{len(rows)} images; {tuned.said()}; wrote {path} and {weights_path}")
    return path
