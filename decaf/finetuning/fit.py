"""One split's fine-tuning: choose the number of epochs, then train on all its training rows."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decaf._version import __version__
from decaf.backbones import TorchBackbone
from decaf.backbones.backbone import PRECISIONS
from decaf.backbones.loading import find_precision
from decaf.backbones.trainable import TrainableNet
from decaf.choices import Normalize, Precision
from decaf.errors import ConfigError, DataError
from decaf.finetuning.inputs import Inputs
from decaf.finetuning.kept import Kept
from decaf.finetuning.loop import ColumnScore, Epoch, Loop, Task, best_epoch
from decaf.finetuning.model import Layer, Model, TrainableHead
from decaf.finetuning.recipe import Recipe
from decaf.finetuning.samples import TrainingImages
from decaf.finetuning.start import Frozen, linear_starts, random_starts, scale_of
from decaf.finetuning.tuned import FineTuned
from decaf.heads.select import Score
from decaf.held import free_folders, held, remove_free
from decaf.metrics import METRICS
from decaf.progress import Advance, log
from decaf.protocols.draw import hold_out, strata
from decaf.types import IntArray, Split

_FOLDER = "finetune-"


def name_stopped(folder: Path) -> None:
    """Say on stderr what trainings that were stopped have left in a folder."""
    for left in free_folders(folder, f"{_FOLDER}*"):
        log(f"{left} is of a training that was stopped; run that again to go on, or delete it")


def nothing_to_tell(n_rows: int, n_failed: int = 0) -> None:
    """Take no notice of progress."""


@dataclass(frozen=True, eq=False)
class FineTuning:
    """What the splits of one layer have in common.

    Attributes
    ----------
    backbone : TorchBackbone
        The net, in float32.
    layer, pool : str
        What the head is on.
    images : TrainingImages
        Where pixels come from.
    recipe : Recipe
        How to train.
    precision : str
        ``fp32`` or ``bf16``: what the net computes in.
    folder : pathlib.Path
        Where checkpoints and temporary files go.
    digest : str
        Of the frozen features, which names their data set, net and pixels.
    epochs : pathlib.Path or None
        Folder of the net's weights after every epoch of the training that is used, if they are
        kept.
    """

    backbone: TorchBackbone
    layer: str
    pool: str
    images: TrainingImages
    recipe: Recipe
    precision: Precision
    folder: Path
    digest: str
    epochs: Path | None = None
    _folders: list[Path] = field(default_factory=list, repr=False)

    @property
    def n_epochs(self) -> int:
        """The number of epochs of one split, at most."""
        return self.recipe.epochs * (1 + self.recipe.refit)

    @cached_property
    def inputs(self) -> Inputs:
        """What the splits share: the frozen part's outputs."""
        return Inputs(
            self.images,
            self._net(),
            self.recipe,
            dtype=PRECISIONS[self.precision],
            kept=self._kept,
        )

    @cached_property
    def _kept(self) -> Kept:
        path = self._shared / "frozen"
        return Kept(path, len(self.images.table.image_ids), max(self.recipe.crops, 1))

    @cached_property
    def _shared(self) -> Path:
        """The folder of what the splits share, named after all that decides it."""
        return self._named(hashlib.sha256(self._about))

    @cached_property
    def _about(self) -> bytes:
        about = {
            "features": self.digest,
            "layer": self.layer,
            "pool": self.pool,
            "recipe": asdict(self.recipe),
            "precision": self.precision,
            "device": self.backbone.device.type,
            "seed": self.images.seed,
            "versions": [__version__, torch.__version__],
        }
        return json.dumps(about, sort_keys=True).encode()

    def _named(self, digest: Any) -> Path:
        return self.folder / f"{_FOLDER}{digest.hexdigest()[:16]}"

    def fit(
        self, split: Split, labels: IntArray, frozen: Frozen, advance: Advance = nothing_to_tell
    ) -> FineTuned:
        """Train on one split, or go on training.

        Of two runs that train the same in one folder, the second waits for the first.

        Parameters
        ----------
        split : Split
            Training rows; its first fold, or a share of them, validates.
        labels : numpy.ndarray
            ``(n_images,)`` labels, or ``(n_images, n_classes)`` of 1, -1 and 0.
        frozen : Frozen
            Features of the frozen net.
        advance : callable
            Told of each epoch; there are at most `n_epochs` of them.

        Returns
        -------
        FineTuned
            The trained net and head.

        Raises
        ------
        ConfigError
            If there are not as many blocks.
        DataError
            If features or labels cannot be used, or a checkpoint cannot be written or read.
        """
        folder = self._work(split, labels, frozen)
        self._folders.extend([folder, self._shared])
        with held(self._shared), held(folder):
            return self._fit(split, labels, frozen, folder, advance)

    def _fit(
        self, split: Split, labels: IntArray, frozen: Frozen, folder: Path, advance: Advance
    ) -> FineTuned:
        began = time.perf_counter()
        rows, held_out = self._parts(split)
        classes, targets = _targets(labels, split.train)
        scale = scale_of(frozen.X[split.train])
        if self.recipe.start == "random":
            starts = random_starts(len(classes), frozen.X.shape[1], scale, split.seed)
        else:
            starts = linear_starts(self.recipe.start, frozen, labels, split, (rows, held_out))
        score = _score_of_columns(frozen.score, classes, several=labels.ndim == 2)

        again = self.recipe.refit and len(held_out) > 0

        def trained(name: str, start: Layer, task: Task) -> tuple[Model, list[Epoch]]:
            model = self._model(start, frozen.normalize, scale)
            path = folder / f"{name}.safetensors"
            loop = Loop(model, self.inputs, task, recipe=self.recipe, seed=split.seed, path=path)
            loop.epochs = self.epochs if (name == "whole") == again else None
            return model, loop.run(advance)

        choice = Task(rows, held_out, targets, self.recipe.epochs, score)
        model, history = trained("choice", starts.part, choice)
        chosen = best_epoch(history)
        if again:
            whole = Task(split.train, split.train[:0], targets, chosen, score)
            model, _ = trained("whole", starts.whole, whole)
        seconds = time.perf_counter() - began
        return FineTuned(classes, model, history, chosen, seconds, self.inputs)

    def clear(self) -> None:
        """Delete what the splits that were fitted have left on disk, and no other run uses."""
        for folder in self._folders:
            remove_free(folder)

    def _parts(self, split: Split) -> tuple[IntArray, IntArray]:
        """Return the rows to train on while the epoch is chosen, and those to choose it by.

        The latter are those of the split's first fold; without one, a share of each class's
        training rows, none where every class has a single row.
        """
        if split.inner:
            return split.inner[0]
        share = self.recipe.validation
        groups = strata(self.images.table, split.train, np.random.default_rng(split.seed))
        pairs = hold_out(groups, share) if share else ()
        return pairs[0] if pairs else (split.train, split.train[:0])

    def _net(self) -> TrainableNet:
        return TrainableNet(
            self.backbone,
            self.layer,
            self.pool,
            self.recipe.blocks,
            keep_statistics=self.recipe.freeze_bn,
        )

    def _model(self, start: Layer, normalize: Normalize, scale: float) -> Model:
        head = TrainableHead(
            *start,
            normalize="none" if normalize == "standard" else normalize,
            scale=scale,
            dropout=self.recipe.dropout,
        )
        return Model(self._net(), head, PRECISIONS[self.precision]).to(self.backbone.device)

    def _work(self, split: Split, labels: IntArray, frozen: Frozen) -> Path:
        """Return the folder of a split's checkpoints, named after all that decides them."""
        about = {
            "normalize": frozen.normalize,
            "metric": [name for name, metric in METRICS.items() if metric.score is frozen.score],
            "c": [*frozen.c_grid, frozen.fixed_c],
            "head device": frozen.device,
            "seed": split.seed,
        }
        digest = hashlib.sha256(self._about + json.dumps(about, sort_keys=True).encode())
        for array in (split.train, *(part for pair in split.inner for part in pair), labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return self._named(digest)


def _score_of_columns(score: Score, classes: IntArray, *, several: bool) -> ColumnScore:
    """Return the metric of labels that are columns of the head."""
    return lambda labels, logits: score(labels if several else classes[labels], logits, classes)


def _targets(labels: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Return the classes of training rows, and all labels as columns of these."""
    if labels.ndim == 2:
        return np.arange(labels.shape[1]), labels
    classes = np.unique(labels[rows])
    if len(classes) < 2:
        raise DataError(f"asked to fine-tune on {len(classes)} class; give images of two or more")
    return classes, np.searchsorted(classes, labels)


def tuning_precision(precision: Precision, net: TorchBackbone) -> Precision:
    """Return what a net is fine-tuned in: ``fp32``, or ``bf16`` by autocast.

    Raises
    ------
    ConfigError
        If the precision is unknown, or fp16, in which small gradients vanish.
    """
    found = find_precision(precision, net.device)
    if found == "fp16":
        raise ConfigError("asked to fine-tune in fp16; choose one of: auto, fp32, bf16")
    return found
