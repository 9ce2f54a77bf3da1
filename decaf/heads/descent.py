"""Stochastic gradient descent on rows of features that may be larger than memory.

An epoch draws its order and its masks from a seed of its own number, so that a run taken up after
any epoch goes on to the same bits as one that was never stopped.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from decaf.tensor_file import group, read_tensors, write_tensors

TRIED_RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
MIN_STEPS = 30
"""Where rows are few, an epoch visits them so often that it has so many steps."""


class DescentOptions(Protocol):
    """How a net is trained; :class:`decaf.heads.adaptation.AdaptationHead` says it in full."""

    learning_rate: float | None
    momentum: float
    weight_decay: float
    batch_size: int
    n_epochs: int
    patience: int
    n_decays: int
    random_state: int


@dataclass
class Progress:
    """Where a descent is."""

    first_rate: float
    epoch: int = 0
    waited: int = 0
    """Epochs since the lowest validation loss, or since the last division of the rate."""
    n_decays: int = 0
    best_loss: float = float("inf")
    at_rate: int = 0
    """Epochs at the present rate."""
    kept: list[int] = field(default_factory=lambda: [0])
    """For each rate, the epochs that led to the lowest validation loss."""
    refitted: int = 0
    """Epochs done on all rows."""

    def rate(self, n_decays: int) -> float:
        """Return the learning rate after so many divisions."""
        return self.first_rate * 0.1**n_decays

    def note(self, loss: float) -> bool:
        """Count an epoch with its validation loss; return whether that is the lowest."""
        self.epoch += 1
        self.at_rate += 1
        self.waited += 1
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
class Descent:
    """Training of a net on some rows, watched on others; all are row numbers on its device.

    ``loss(scores, rows)`` is a mean over rows, ``read(rows)`` their features.
    """

    net: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    read: Callable[[Tensor], Tensor]
    train: Tensor
    validation: Tensor
    recipe: DescentOptions

    def run(self, checkpoint: Path | None = None) -> Progress:
        """Train until validation stops improving, then anew on all rows, as long and at such rates.

        Where the validation rows are those to train on, the best weights are kept instead.

        The checkpoint, if there is to be one, is written after each epoch, and taken up where it
        is found.
        """
        optimizer = self._optimizer(1.0)
        initial = best = _copied(self.net)
        found = None if checkpoint is None else read_tensors(checkpoint)
        if found is None:
            progress = Progress(self.recipe.learning_rate or self._best_rate())
        else:
            tensors, about = found
            progress = Progress(**json.loads(about["progress"]))
            best = group(tensors, "best")
            self._go_on_from(tensors, optimizer)

        def keep() -> None:
            if checkpoint is not None:
                about = {"progress": json.dumps(asdict(progress))}
                write_tensors(checkpoint, self._tensors(optimizer, best), about)

        while not self._has_ended(progress):
            rate = progress.rate(progress.n_decays)
            self._epoch(optimizer, progress.epoch, rate, self.train)
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
        return progress

    def _refit(self, progress: Progress, optimizer: torch.optim.SGD) -> Iterator[None]:
        """Train on all rows, epoch after epoch, where some of them have not trained yet."""
        if torch.equal(self.train, self.validation):
            return
        rows = torch.cat([self.train, self.validation]).sort().values
        rates = [progress.rate(k) for k, n in enumerate(progress.kept) for _ in range(n)]
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
        self.net.eval()
        parts = torch.split(self.validation, 8 * self.recipe.batch_size)
        total = sum(len(rows) * float(self.loss(self._scores(rows), rows)) for rows in parts)
        return total / len(self.validation)

    def _scores(self, rows: Tensor) -> Tensor:
        scores: Tensor = self.net(self.read(rows))
        return scores

    def _has_ended(self, progress: Progress) -> bool:
        recipe = self.recipe
        return progress.epoch >= recipe.n_epochs or progress.n_decays > recipe.n_decays

    def _optimizer(self, rate: float) -> torch.optim.SGD:
        groups: list[dict[str, Any]] = [
            {
                "params": [p for p in self.net.parameters() if p.ndim > 1],
                "weight_decay": self.recipe.weight_decay,
            },
            {"params": [p for p in self.net.parameters() if p.ndim <= 1]},
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
        self.net.train()
        seed = np.random.SeedSequence([self.recipe.random_state, epoch]).generate_state(1)[0]
        with torch.random.fork_rng(devices=[rows.device] if rows.is_cuda else []):
            torch.manual_seed(int(seed))
            for batch in islice(self._batches(rows), n_steps):
                optimizer.zero_grad()
                self.loss(self._scores(batch), batch).backward()  # type: ignore[no-untyped-call] # torch leaves it without types
                optimizer.step()

    def _batches(self, rows: Tensor) -> Iterator[Tensor]:
        size = self.recipe.batch_size
        for _ in range(-(-MIN_STEPS // -(-len(rows) // size))):
            for chosen in torch.split(torch.randperm(len(rows), device=rows.device), size):
                yield rows[chosen].sort().values

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
