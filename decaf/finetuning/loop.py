"""Training of a model, epoch by epoch, that goes on after a kill as if there had been none."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from decaf.finetuning.average import Average, assign, copied
from decaf.finetuning.checkpoint import Checkpoint, Epoch
from decaf.finetuning.inputs import Inputs
from decaf.finetuning.losses import loss
from decaf.finetuning.model import Model
from decaf.finetuning.recipe import Recipe
from decaf.finetuning.schedule import rate_factor
from decaf.progress import Advance
from decaf.types import FloatArray, IntArray

ColumnScore = Callable[[IntArray, FloatArray], float]
"""``score(labels, logits)``; more is better."""


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to train on and to validate on.

    Attributes
    ----------
    rows : numpy.ndarray
        Rows to train on.
    validation : numpy.ndarray
        Rows to choose the epoch by; may be empty.
    labels : numpy.ndarray
        ``(n_images,)`` columns of the head, or ``(n_images, n_classes)`` of 1, -1 and 0; only
        those of `rows` and `validation` are looked at.
    n_epochs : int
        Epochs to train, of the recipe's, which decide the schedule.
    score : callable
        The metric of the validation rows.
    """

    rows: IntArray
    validation: IntArray
    labels: IntArray
    n_epochs: int
    score: ColumnScore


def best_epoch(history: list[Epoch]) -> int:
    """Return the entry with the highest value, of equals that of the smallest loss.

    Without validation it is the last.
    """
    if math.isnan(history[0].value):
        return len(history) - 1
    order = [(-one.value, one.loss) for one in history]
    return order.index(min(order))


class Loop:
    """Training of a model on one task.

    Parameters
    ----------
    model : Model
        At its start; it is trained in place.
    inputs : Inputs
        What it is given.
    task : Task
        On which rows.
    recipe : Recipe
        How.
    seed : int
        Of what is dropped.
    path : pathlib.Path
        The checkpoint.
    """

    def __init__(
        self, model: Model, inputs: Inputs, task: Task, *, recipe: Recipe, seed: int, path: Path
    ) -> None:
        self._model, self._inputs, self._task = model, inputs, task
        self._recipe, self._seed, self._path = recipe, seed, path
        groups = model.parameter_groups(
            recipe.lr, recipe.lr_decay, recipe.head_lr, recipe.weight_decay
        )
        momentum = recipe.momentum
        self._sgd = torch.optim.SGD(groups, 0.0, momentum, nesterov=momentum > 0)
        self._learned = model.learned()
        self._names = {parameter: name for name, parameter in _parameters(model).items()}
        self._average = Average(self._learned, recipe.ema_decay) if recipe.ema_decay else None
        self._best: dict[str, Tensor] = {}

    def run(self, advance: Advance) -> list[Epoch]:
        """Train, or go on training, and leave the model as validation found it best.

        Parameters
        ----------
        advance : callable
            Told of each epoch.

        Returns
        -------
        list of Epoch
            The start and each epoch.
        """
        history = self._restore()
        if not history:
            history.append(self._validated(math.nan))
            self._note(history)
        advance(len(history) - 1)
        while len(history) <= self._task.n_epochs:
            train_loss = self._epoch(len(history) - 1)
            history.append(self._validated(train_loss))
            self._note(history)
            advance(1)
        assign(self._learned, self._best)
        return history

    def _epoch(self, epoch: int) -> float:
        """Train for one epoch and return the mean loss."""
        device = self._model.net.backbone.device
        total = 0.0
        n_steps = -(-len(self._task.rows) // self._recipe.batch_size)
        cuda = [device] if device.type == "cuda" else []
        self._model.train()
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(_seed(self._seed, epoch))
            batches = self._inputs.training(self._task.rows, epoch)
            for step, (rows, x, pixels) in enumerate(batches):
                part = (epoch + (step + 0.5) / n_steps) / self._recipe.epochs
                for group in self._sgd.param_groups:
                    group["lr"] = group["peak"] * rate_factor(self._recipe, part)
                self._sgd.zero_grad()
                value = loss(
                    self._model(x, pixels), self._labels(rows), self._recipe.label_smoothing
                )
                value.backward()  # type: ignore[no-untyped-call] # torch leaves it without types
                self._sgd.step()
                if self._average is not None:
                    self._average.update(epoch * n_steps + step + 1)
                total += value.item() * len(rows)
        return total / len(self._task.rows)

    def _labels(self, rows: IntArray) -> Tensor:
        return torch.from_numpy(self._task.labels[rows]).to(self._model.net.backbone.device)

    def _validated(self, train_loss: float) -> Epoch:
        """Return an entry of the history, for what is kept of this epoch."""
        rows = self._task.validation
        if not len(rows):
            return Epoch(math.nan, math.nan, train_loss)
        if self._average is None:
            logits = predicted(self._model, self._inputs, rows)
        else:
            with self._average.in_place():
                logits = predicted(self._model, self._inputs, rows)
        labels = self._task.labels[rows]
        value = loss(torch.from_numpy(logits), torch.from_numpy(labels)).item()
        return Epoch(self._task.score(labels, logits), value, train_loss)

    def _note(self, history: list[Epoch]) -> None:
        """Keep what is best so far, and write the checkpoint."""
        if best_epoch(history) == len(history) - 1:
            kept = self._learned if self._average is None else self._average.tensors
            self._best = copied(kept)
        checkpoint = Checkpoint(history)
        checkpoint.add("best", self._best)
        if len(history) <= self._task.n_epochs:  # there is more to do
            checkpoint.add("learned", self._learned)
            momentum = {
                name: self._sgd.state[parameter]["momentum_buffer"]
                for parameter, name in self._names.items()
                if self._sgd.state[parameter].get("momentum_buffer") is not None
            }
            checkpoint.add("momentum", momentum)
            if self._average is not None:
                checkpoint.add("average", self._average.tensors)
        checkpoint.save(self._path)

    def _restore(self) -> list[Epoch]:
        checkpoint = Checkpoint.load(self._path)
        if checkpoint is None:
            return []
        device = self._model.net.backbone.device
        self._best = {k: v.to(device) for k, v in checkpoint.group("best").items()}
        if len(checkpoint.history) <= self._task.n_epochs:
            assign(self._learned, checkpoint.group("learned"))
            momentum = checkpoint.group("momentum")
            for parameter, name in self._names.items():
                if name in momentum:
                    buffer = torch.empty_like(parameter).copy_(momentum[name])
                    self._sgd.state[parameter]["momentum_buffer"] = buffer
            if self._average is not None:
                assign(self._average.tensors, checkpoint.group("average"))
        return checkpoint.history


def predicted(model: Model, inputs: Inputs, rows: IntArray) -> FloatArray:
    """Return ``(n, n_classes)`` float32 logits of the plain views of rows."""
    model.eval()
    with torch.no_grad():
        parts = [model(x, pixels).cpu().numpy() for _, x, pixels in inputs.plain(rows)]
    logits: FloatArray = np.concatenate(parts)
    return logits


def _parameters(model: Model) -> dict[str, torch.nn.Parameter]:
    named = {
        f"net.{name}": parameter
        for block in model.net.trained_parameters()
        for name, parameter in block.items()
    }
    return named | {f"head.{name}": parameter for name, parameter in model.head.named_parameters()}


def _seed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence((seed, epoch)).generate_state(1)[0])
