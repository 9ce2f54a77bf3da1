"""Training of a model: which epoch is best in validation, and how the rate goes."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from decaf.descent import Descent, copied, mean_loss
from decaf.finetuning.average import Average
from decaf.finetuning.inputs import Inputs
from decaf.finetuning.model import Model
from decaf.finetuning.recipe import Recipe
from decaf.finetuning.schedule import rate_factor
from decaf.progress import Advance
from decaf.tensor_file import write_tensors
from decaf.types import FloatArray, IntArray

ColumnScore = Callable[[IntArray, FloatArray], float]
"""``score(labels, logits)``; more is better."""


@dataclass(frozen=True)
class Epoch:
    """What validation said after an epoch.

    Attributes
    ----------
    value : float
        The protocol's metric; more is better. nan without validation.
    loss : float
        Mean loss of the validation rows.
    train_loss : float
        Mean loss of the training rows during the epoch; nan for the start.
    """

    value: float
    loss: float
    train_loss: float


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
        self._recipe = recipe
        momentum, learned = recipe.momentum, model.learned()
        self._descent = Descent(
            model,
            learned,
            model.parameter_groups(recipe.lr, recipe.lr_decay, recipe.head_lr, recipe.weight_decay),
            momentum=momentum,
            nesterov=momentum > 0,
            seed=seed,
            path=path,
        )
        self.epochs: Path | None = None
        """Folder to keep the net's weights of every epoch in."""
        self._average = Average(learned, recipe.ema_decay) if recipe.ema_decay else None

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
            self._keep(0)
            self._note(history)
        advance(len(history) - 1)
        while len(history) <= self._task.n_epochs:
            train_loss = self._epoch(len(history) - 1)
            history.append(self._validated(train_loss))
            self._keep(len(history) - 1)
            self._note(history)
            advance(1)
        self._descent.go_to(self._descent.best)
        return history

    def _epoch(self, epoch: int) -> float:
        """Train for one epoch and return the mean loss."""
        rows, recipe, total = self._task.rows, self._recipe, 0.0
        n_steps = -(-len(rows) // recipe.batch_size)

        def losses() -> Iterator[Tensor]:
            nonlocal total
            batches = self._inputs.training(rows, epoch)
            for step, (some, x, pixels) in enumerate(batches):
                logits = self._model(x, pixels)
                value = mean_loss(logits, self._labels(some), recipe.label_smoothing)
                yield value
                if self._average is not None:
                    self._average.update(epoch * n_steps + step + 1)
                total += value.item() * len(some)

        def rate(step: int) -> float:
            return rate_factor(recipe, (epoch + (step + 0.5) / n_steps) / recipe.epochs)

        self._descent.epoch(epoch, losses(), rate)
        return total / len(rows)

    def _keep(self, epoch: int) -> None:
        """Write the net's weights, those of the average where there is one."""
        if self.epochs is None:
            return
        with nullcontext() if self._average is None else self._average.in_place():
            path = self.epochs / f"epoch-{epoch:03d}.safetensors"
            write_tensors(path, self._model.weights(), {"format": "pt"})

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
        value = mean_loss(torch.from_numpy(logits), torch.from_numpy(labels)).item()
        return Epoch(self._task.score(labels, logits), value, train_loss)

    def _note(self, history: list[Epoch]) -> None:
        """Keep what is best so far, and write the checkpoint."""
        descent, average = self._descent, self._average
        if best_epoch(history) == len(history) - 1:
            descent.best = copied(descent.learned if average is None else average.tensors)
        descent.save(
            [asdict(one) for one in history],
            ended=len(history) > self._task.n_epochs,
            **({} if average is None else {"average": average.tensors}),
        )

    def _restore(self) -> list[Epoch]:
        average = {} if self._average is None else {"average": self._average.tensors}
        found = self._descent.restore(lambda history: [Epoch(**one) for one in history], **average)
        return found or []


def predicted(model: Model, inputs: Inputs, rows: IntArray) -> FloatArray:
    """Return ``(n, n_classes)`` float32 logits of the plain views of rows."""
    model.eval()
    with torch.no_grad():
        parts = [model(x, pixels).cpu().numpy() for _, x, pixels in inputs.plain(rows)]
    logits: FloatArray = np.concatenate(parts)
    return logits
