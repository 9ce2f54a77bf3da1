"""Stochastic gradient descent on rows of features that may be larger than memory.

An epoch draws its order and its masks from a generator seeded with its own number, so that a run
taken up after any epoch goes on to the same bits as one that was never stopped.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from decaf.errors import DataError
from decaf.tensor_file import group, read_tensors, write_tensors

TRIED_RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
MIN_STEPS = 30
"""Where rows are few, an epoch visits them so often that it has so many steps."""

Loss = Callable[[Tensor, Tensor, torch.Generator | None], Tensor]
"""``loss(rows, features, generator)``: the mean over rows, dropping only with a generator."""


@dataclass(frozen=True)
class Recipe:
    """How a net is trained.

    Attributes
    ----------
    learning_rate : float or None
        Of the first epochs; None for the one of `TRIED_RATES` that serves validation best after
        `MIN_STEPS` steps.
    momentum, weight_decay : float
        Of the descent; biases do not decay.
    batch_size : int
        Rows a step.
    n_epochs : int
        At most so many.
    patience : int
        Epochs without a lower validation loss before the rate is divided by 10.
    n_decays : int
        Divisions of the rate before the descent ends.
    seed : int
        Of order and masks.
    """

    learning_rate: float | None
    momentum: float
    weight_decay: float
    batch_size: int
    n_epochs: int
    patience: int
    n_decays: int
    seed: int


@dataclass
class Progress:
    """Where a descent is.

    Attributes
    ----------
    first_rate : float
        Learning rate of the first epochs.
    epoch : int
        Epochs done.
    waited : int
        Epochs since the lowest validation loss, or since the last division of the rate.
    n_decays : int
        Divisions of the rate so far.
    best_loss : float
        The lowest validation loss.
    history : list of float
        Validation loss after each epoch.
    at_rate : int
        Epochs at the present rate.
    kept : list of int
        For each rate, the epochs that led to the lowest validation loss.
    refitted : int
        Epochs done on all rows.
    """

    first_rate: float
    epoch: int = 0
    waited: int = 0
    n_decays: int = 0
    best_loss: float = float("inf")
    history: list[float] = field(default_factory=list)
    at_rate: int = 0
    kept: list[int] = field(default_factory=lambda: [0])
    refitted: int = 0

    @property
    def learning_rate(self) -> float:
        """Learning rate now."""
        return self.first_rate * 0.1**self.n_decays

    @property
    def kept_rates(self) -> list[float]:
        """Learning rate of each epoch that led to the lowest validation loss."""
        return [self.first_rate * 0.1**k for k, n in enumerate(self.kept) for _ in range(n)]

    def note(self, loss: float) -> bool:
        """Count an epoch with its validation loss; return whether that is the lowest."""
        self.epoch += 1
        self.at_rate += 1
        self.waited += 1
        self.history.append(loss)
        if not loss < self.best_loss:
            return False
        self.best_loss, self.waited, self.kept[-1] = loss, 0, self.at_rate
        return True

    def divide_rate(self) -> None:
        """Go on at a tenth of the rate."""
        self.n_decays += 1
        self.waited = self.at_rate = 0
        self.kept.append(0)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of features, read as they are asked for.

    Attributes
    ----------
    X : torch.Tensor or array-like
        ``(n_images, n_features)`` on the device, or anything that slices by row numbers.
    device, dtype : torch.device, torch.dtype
        What comes back.
    """

    X: Any
    device: torch.device
    dtype: torch.dtype

    def __getitem__(self, rows: Tensor) -> Tensor:
        if isinstance(self.X, Tensor):
            return self.X[rows]
        return torch.as_tensor(self.X[rows.cpu().numpy()]).to(self.device, self.dtype)


@dataclass(frozen=True, eq=False)
class Descent:
    """Training of a net on some rows, watched on others.

    Attributes
    ----------
    net : torch.nn.Module
        On its device, with its initial weights.
    loss : callable
        See `Loss`.
    rows : Rows
        The features.
    train, validation : torch.Tensor
        Row numbers on the same device.
    recipe : Recipe
        How.
    """

    net: nn.Module
    loss: Loss
    rows: Rows
    train: Tensor
    validation: Tensor
    recipe: Recipe

    def run(self, checkpoint: Path | None = None, problem: str = "") -> Progress:
        """Train until validation stops improving, then anew on all rows, as long and at such rates.

        Where the validation rows are those to train on, the best weights are kept instead.

        Parameters
        ----------
        checkpoint : pathlib.Path, optional
            File that is written after each epoch, taken up where there is one, and removed at the
            end.
        problem : str
            What tells this training from others.

        Returns
        -------
        Progress
            Where it ended.

        Raises
        ------
        DataError
            If the checkpoint is of another training, or cannot be read or written.
        """
        optimizer = self._optimizer(1.0)
        initial = best = _copied(self.net)
        found = None if checkpoint is None else _load(checkpoint, problem)
        if found is None:
            progress = Progress(self.recipe.learning_rate or self._best_rate())
        else:
            progress, tensors = found
            best = group(tensors, "best")
            self._go_on_from(tensors, optimizer)

        def keep() -> None:
            if checkpoint is not None:
                _save(checkpoint, problem, progress, self._tensors(optimizer, best))

        while not self._has_ended(progress):
            self._epoch(optimizer, progress.epoch, progress.learning_rate, self.train)
            if progress.note(self.validation_loss()):
                best = _copied(self.net)
            if progress.waited >= self.recipe.patience:
                progress.divide_rate()
                self.net.load_state_dict(best)
                optimizer.state.clear()
            keep()
        if not progress.refitted:
            last = best if torch.equal(self.train, self.validation) else initial
            self.net.load_state_dict(last)
            optimizer.state.clear()
        for _ in self._refit(progress, optimizer):
            keep()
        if checkpoint is not None:
            checkpoint.unlink(missing_ok=True)
        return progress

    def _refit(self, progress: Progress, optimizer: torch.optim.SGD) -> Iterator[None]:
        """Train on all rows, epoch after epoch, where some of them have not trained yet."""
        if torch.equal(self.train, self.validation):
            return
        rows = torch.cat([self.train, self.validation]).sort().values
        rates = progress.kept_rates
        for epoch in range(progress.refitted, len(rates)):
            if rates[epoch] != rates[epoch - 1]:
                optimizer.state.clear()
            self._epoch(optimizer, epoch, rates[epoch], rows)
            progress.refitted += 1
            yield

    def _go_on_from(self, tensors: dict[str, Tensor], optimizer: torch.optim.SGD) -> None:
        self.net.load_state_dict(group(tensors, "net"))
        for number, momentum in group(tensors, "momentum").items():
            parameter = [*self.net.parameters()][int(number)]
            optimizer.state[parameter]["momentum_buffer"] = momentum.to(parameter.device)

    def _tensors(self, optimizer: torch.optim.SGD, best: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what a training goes on from."""
        momenta = [optimizer.state[p].get("momentum_buffer") for p in self.net.parameters()]
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in best.items()}
        return tensors | {f"momentum.{i}": v for i, v in enumerate(momenta) if v is not None}

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Return the mean loss of the validation rows, with nothing dropped."""
        total = 0.0
        for rows in torch.split(self.validation, 8 * self.recipe.batch_size):
            total += len(rows) * float(self.loss(rows, self.rows[rows], None))
        return total / len(self.validation)

    def _has_ended(self, progress: Progress) -> bool:
        recipe = self.recipe
        return progress.epoch >= recipe.n_epochs or progress.n_decays > recipe.n_decays

    def _optimizer(self, rate: float) -> torch.optim.SGD:
        decay = [p for p in self.net.parameters() if p.ndim > 1]
        rest = [p for p in self.net.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": decay, "weight_decay": self.recipe.weight_decay},
            {"params": rest},
        ]
        return torch.optim.SGD(groups, lr=rate, momentum=self.recipe.momentum)

    def _epoch(
        self,
        optimizer: torch.optim.SGD,
        epoch: int,
        rate: float,
        rows: Tensor,
        n_steps: int | None = None,
    ) -> None:
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate
        for batch, generator in islice(self._batches(epoch, rows), n_steps):
            optimizer.zero_grad()
            self.loss(batch, self.rows[batch], generator).backward()  # type: ignore[no-untyped-call] # torch leaves it without types
            optimizer.step()

    def _batches(self, epoch: int, rows: Tensor) -> Iterator[tuple[Tensor, torch.Generator]]:
        generator = torch.Generator(self.rows.device)
        generator.manual_seed(
            int(np.random.SeedSequence([self.recipe.seed, epoch]).generate_state(1)[0])
        )
        size = self.recipe.batch_size
        steps = -(-len(rows) // size)
        for _ in range(-(-MIN_STEPS // steps)):
            order = torch.randperm(len(rows), generator=generator, device=self.rows.device)
            for chosen in torch.split(order, size):
                yield rows[chosen].sort().values, generator

    def _best_rate(self) -> float:
        """Return the rate that gives the lowest validation loss in a short descent."""
        initial, losses = _copied(self.net), []
        for rate in TRIED_RATES:
            self.net.load_state_dict(initial)
            self._epoch(self._optimizer(rate), 0, rate, self.train, MIN_STEPS)
            losses.append(self.validation_loss())
        self.net.load_state_dict(initial)
        return TRIED_RATES[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]


def _copied(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def _save(path: Path, problem: str, progress: Progress, tensors: dict[str, Tensor]) -> None:
    write_tensors(path, tensors, {"problem": problem, "progress": json.dumps(asdict(progress))})


def _load(path: Path, problem: str) -> tuple[Progress, dict[str, Tensor]] | None:
    found = read_tensors(path)
    if found is None:
        return None
    tensors, about = found
    if about.get("problem") != problem:
        raise DataError(
            f"asked to go on from {path}, found the checkpoint of another training; delete it, or "
            "give another path"
        )
    return Progress(**json.loads(about["progress"])), tensors
