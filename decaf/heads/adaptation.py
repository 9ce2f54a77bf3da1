"""Adaptation layers: a hidden layer and a classifier, trained on a frozen net's features.

References
----------
M. Oquab, L. Bottou, I. Laptev and J. Sivic, "Learning and transferring mid-level image
representations using convolutional neural networks", CVPR 2014 (section 3.2: layers FCa and FCb).
"""

import hashlib
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from decaf.descent import Descent, Tensors, assign, copied, mean_loss
from decaf.device import find_device
from decaf.heads.features import (
    SMALLEST_SIZE,
    blocks,
    check_positive,
    checked_rows,
    compute_dtype,
    placed,
    taken,
)
from decaf.heads.scores import LayeredScores, Probabilities, check_weights
from decaf.heads.targets import Targets, encode
from decaf.held import held
from decaf.types import FloatArray, IntArray

TRIED_RATES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
MIN_STEPS = 30
"""Where rows are few, an epoch visits them so often that it has so many steps."""


def adaptation_layers(
    n_features: int, hidden: int, n_outputs: int, dropout: float, seed: int
) -> nn.Sequential:
    """Return FCa, a ReLU, dropout and FCb: of ``(n, n_features)`` rows ``(n, n_outputs)`` logits.

    Weights start as He et al. (2015) have it for FCa, and small for FCb.
    """
    fca, fcb = nn.Linear(n_features, hidden), nn.Linear(hidden, n_outputs)
    chance = torch.Generator().manual_seed(seed)
    for layer, gain in ((fca, 2.0), (fcb, 0.1)):
        nn.init.normal_(layer.weight, std=(gain / layer.in_features) ** 0.5, generator=chance)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(fca, nn.ReLU(), nn.Dropout(dropout), fcb)


class AdaptationHead(Probabilities, LayeredScores):
    """FCa, a hidden layer with a ReLU and dropout, and FCb, a softmax, or a sigmoid a class.

    Trained by stochastic gradient descent with momentum on the mean cross-entropy; label 0 of a
    label matrix does not count. Features are divided by their root mean square over the training
    rows, so that one learning rate serves all layers and nets. Rates and number of epochs are
    chosen on held-out rows, and with them the layers are trained anew on all.

    Parameters
    ----------
    hidden : int
        Units of FCa.
    dropout : float
        Probability that a hidden unit is dropped in training.
    learning_rate : float or None
        None to find it by short trials on the validation rows.
    momentum, weight_decay : float
        Of the descent; biases do not decay.
    batch_size, n_epochs : int
        Rows a step; most epochs.
    patience, n_decays : int
        Epochs without a lower validation loss before the rate is divided by 10, and how often it
        is before the descent ends.
    validation_fraction : float
        Share of each class's training rows that is held out where `fit` is not told which.
    random_state : int
        Seed of weights, held-out rows, order and masks.
    device, memory_share : optional
        As in :class:`decaf.heads.LinearSVM`.
    checkpoint : str or None
        Folder in which a stopped training leaves what it goes on from, apart from other trainings.

    Attributes
    ----------
    layers_ : list of (numpy.ndarray, numpy.ndarray)
        Weights ``(hidden, n_features)`` and ``(m, hidden)`` with their biases, for features as
        they were given; m is 1 for two classes.
    classes_ : numpy.ndarray
        Labels, or column numbers of a label matrix.
    n_iter_ : int
        Epochs, of the choice and on all rows.
    learning_rate_ : float
        The first one.
    objective_ : float
        The lowest mean loss over the validation rows, while these did not train.
    converged_ : bool
        Whether validation stopped improving before the epochs ended.
    """

    multi_class = "multinomial"

    def __init__(
        self,
        hidden: int = 2048,
        *,
        dropout: float = 0.5,
        learning_rate: float | None = None,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        batch_size: int = 128,
        n_epochs: int = 60,
        patience: int = 3,
        n_decays: int = 2,
        validation_fraction: float = 0.1,
        random_state: int = 0,
        device: str = "auto",
        memory_share: float = 0.5,
        checkpoint: str | None = None,
    ) -> None:
        self.hidden, self.dropout = hidden, dropout
        self.learning_rate, self.momentum = learning_rate, momentum
        self.weight_decay, self.batch_size = weight_decay, batch_size
        self.n_epochs, self.patience, self.n_decays = n_epochs, patience, n_decays
        self.validation_fraction, self.random_state = validation_fraction, random_state
        self.device, self.memory_share, self.checkpoint = device, memory_share, checkpoint

    def fit(self, X: Any, y: npt.ArrayLike, validation: IntArray | None = None) -> Self:
        """Train on rows of features and their labels; see :meth:`decaf.heads.LinearSVM.fit`.

        Parameters
        ----------
        X, y : array-like
            As there.
        validation : numpy.ndarray, optional
            Numbers of the rows that are held out to choose the rates and the end by.

        Raises
        ------
        DataError
            If the checkpoint cannot be read or written.
        """
        self._check()
        X, y = checked_rows(self, X, y)
        targets = encode(y, weight_of="label")
        train, held_out = self._sides(targets, validation)
        device, dtype = find_device(self.device), compute_dtype(X)
        scale, inside = _root_mean_square(X), placed(X, device)
        net = adaptation_layers(
            X.shape[1], self.hidden, targets.n_columns, self.dropout, self.random_state
        ).to(device, dtype)
        wanted = _wanted(targets, device, dtype)

        def loss(rows: Tensor) -> Tensor:
            return mean_loss(net(taken(inside, rows) / scale), wanted[rows], per_row=True)

        schedule = _Schedule(
            net=net,
            loss=loss,
            train=torch.as_tensor(train, device=device),
            validation=torch.as_tensor(held_out, device=device),
            recipe=self,
        )
        progress = self._run(schedule, X, y, train)
        self.n_features_in_ = X.shape[1]
        self.classes_, self.multilabel_ = targets.classes, targets.multilabel
        W, b, V, c = (p.detach().cpu().numpy() for p in net.parameters())
        V[targets.constant != 0] = 0
        c = np.where(targets.constant == 0, c, targets.constant.astype(c.dtype))
        self.layers_ = [(W / scale, b), (V, c)]
        self.n_iter_ = progress.n_epochs + progress.refitted
        self.learning_rate_ = progress.first_rate
        self.objective_, _ = progress.best()
        check_weights(self, np.array(self.objective_), *sum(self.layers_, ()))
        self.converged_ = len(progress.losses) > self.n_decays + 1
        return self

    def _run(self, schedule: "_Schedule", X: Any, y: Any, train: IntArray) -> "_Progress":
        """Train, or go on; another run of this training waits until this one has ended."""
        if self.checkpoint is None:
            return schedule.run(None)
        folder = Path(self.checkpoint) / f"adaptation-{self._digest(X, y, train)}"
        with held(folder):
            progress = schedule.run(folder / "epoch.safetensors")
            shutil.rmtree(folder)
        return progress

    def _digest(self, X: Any, y: Any, train: IntArray) -> str:
        """Return what tells this training from others: arguments, labels, rows, features."""
        arguments = {k: v for k, v in self.get_params().items() if k != "checkpoint"}
        digest = hashlib.sha256(repr(("refitted", arguments, X.shape, str(X.dtype))).encode())
        digest.update(np.unique(np.asarray(y), return_inverse=True)[1].tobytes())
        digest.update(train.tobytes())
        for _, block in blocks(X, torch.device("cpu"), compute_dtype(X)):
            digest.update(np.ascontiguousarray(block.numpy()).data)
        return digest.hexdigest()[:16]

    @property
    def summary_(self) -> str:
        """One line about the training."""
        return (
            f"learning rate {self.learning_rate_:g}; {self.n_iter_} epochs; "
            f"validation loss {self.objective_:.3f}"
        )

    def layers(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return weights and biases of FCa and FCb."""
        return self.layers_

    def _check(self) -> None:
        whole = ("hidden", "batch_size", "n_epochs", "patience")
        rate = ("learning_rate",) if self.learning_rate is not None else ()
        check_positive(**{name: getattr(self, name) for name in whole + rate})
        for name in ("dropout", "validation_fraction", "momentum"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must be at least 0 and below 1; got {name}={value!r}")

    def _sides(self, targets: Targets, validation: IntArray | None) -> tuple[IntArray, IntArray]:
        """Return the rows to train on and to watch; the same ones where none can be spared."""
        rows = np.arange(len(targets.signs))
        if validation is None:
            chance = np.random.default_rng(self.random_state)
            group: npt.NDArray[Any] = rows * 0
            if not targets.multilabel:
                two = targets.n_columns == 1
                group = targets.signs[:, 0] if two else targets.signs.argmax(1)
            chosen = []
            for value in np.unique(group):
                members = chance.permutation(rows[group == value])
                chosen.append(members[: int(len(members) * self.validation_fraction)])
            validation = np.sort(np.concatenate(chosen))
        if not len(validation):
            return rows, rows
        train = np.setdiff1d(rows, validation)
        if not len(train):
            raise ValueError("validation holds all rows; leave some to train on")
        return train, np.asarray(validation)


@dataclass
class _Progress:
    """Where a training is."""

    first_rate: float
    losses: list[list[float]] = field(default_factory=lambda: [[]])
    """For each rate, each a tenth of the one before, the validation loss after each epoch."""
    refitted: int = 0
    """Epochs done on all rows."""

    @property
    def n_epochs(self) -> int:
        """Epochs done on the rows to train on."""
        return sum(map(len, self.losses))

    def best(self) -> tuple[float, list[int]]:
        """Return the lowest loss, and for each rate how many epochs led to a lower one."""
        lowest, kept = math.inf, []
        for at_rate in self.losses:
            kept.append(0)
            for epoch, loss in enumerate(at_rate, 1):
                if loss < lowest:
                    lowest, kept[-1] = loss, epoch
        return lowest, kept


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Rates and epochs of a net on some rows, by its loss on others: numbers on its device.

    ``loss(rows)`` is a mean over rows.
    """

    net: nn.Module
    loss: Callable[[Tensor], Tensor]
    train: Tensor
    validation: Tensor
    recipe: AdaptationHead

    def run(self, checkpoint: Path | None) -> _Progress:
        """Train until validation stops improving, then anew on all rows, as long and at such rates.

        Where the validation rows are those to train on, the best weights are kept instead. The
        checkpoint, if there is to be one, is written after each epoch.
        """
        recipe, descent = self.recipe, self._descent(checkpoint)
        initial = copied(descent.learned)
        progress = descent.restore(lambda found: _Progress(**found))
        if progress is None:
            progress = _Progress(recipe.learning_rate or self._best_rate(initial))
        while progress.n_epochs < recipe.n_epochs and len(progress.losses) <= recipe.n_decays + 1:
            at_rate = progress.losses[-1]
            rate = progress.first_rate * 0.1 ** (len(progress.losses) - 1)
            self._epoch(descent, progress.n_epochs, rate, self.train)
            at_rate.append(self._validation_loss())
            waited = len(at_rate) - progress.best()[1][-1]
            if not waited:
                descent.best = copied(descent.learned)
            elif waited >= recipe.patience:
                progress.losses.append([])
                descent.go_to(descent.best)
            descent.save(asdict(progress))
        if torch.equal(self.train, self.validation):
            descent.go_to(descent.best)
            return progress
        if not progress.refitted:
            descent.go_to(initial)
        rows = torch.cat([self.train, self.validation]).sort().values
        kept = progress.best()[1]
        rates = [progress.first_rate * 0.1**k for k, n in enumerate(kept) for _ in range(n)]
        for epoch in range(progress.refitted, len(rates)):
            if rates[epoch] != rates[epoch - 1]:
                descent.go_to(copied(descent.learned))
            self._epoch(descent, epoch, rates[epoch], rows)
            progress.refitted += 1
            descent.save(asdict(progress))
        return progress

    def _descent(self, checkpoint: Path | None) -> Descent:
        matrices = [p for p in self.net.parameters() if p.ndim > 1]
        biases = [p for p in self.net.parameters() if p.ndim <= 1]
        groups: list[dict[str, Any]] = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay, "peak": 1.0},
            {"params": biases, "peak": 1.0},
        ]
        momentum, seed = self.recipe.momentum, self.recipe.random_state
        learned = self.net.state_dict()
        return Descent(self.net, learned, groups, momentum=momentum, seed=seed, path=checkpoint)

    def _epoch(
        self, descent: Descent, epoch: int, rate: float, rows: Tensor, n_steps: int | None = None
    ) -> None:
        losses = (self.loss(batch) for batch in islice(self._batches(rows), n_steps))
        descent.epoch(epoch, losses, lambda _: rate)

    def _batches(self, rows: Tensor) -> Iterator[Tensor]:
        size = self.recipe.batch_size
        for _ in range(-(-MIN_STEPS // -(-len(rows) // size))):
            for chosen in torch.split(torch.randperm(len(rows), device=rows.device), size):
                yield rows[chosen].sort().values

    @torch.no_grad()
    def _validation_loss(self) -> float:
        """Return the mean loss of the validation rows, with nothing dropped."""
        self.net.eval()
        parts = torch.split(self.validation, 8 * self.recipe.batch_size)
        return sum(len(rows) * float(self.loss(rows)) for rows in parts) / len(self.validation)

    def _best_rate(self, initial: Tensors) -> float:
        """Return the rate that gives the lowest validation loss in a short descent."""
        losses = []
        for rate in TRIED_RATES:
            descent = self._descent(None)
            descent.go_to(initial)
            self._epoch(descent, 0, rate, self.train, MIN_STEPS)
            losses.append(self._validation_loss())
        assign(self.net.state_dict(), initial)
        return TRIED_RATES[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]


def _wanted(targets: Targets, device: torch.device, dtype: torch.dtype) -> Tensor:
    if targets.multilabel or targets.n_columns == 1:
        return torch.as_tensor(targets.signs).to(device, dtype)
    return torch.as_tensor(targets.signs.argmax(1)).to(device)


def _root_mean_square(X: Any) -> float:
    step = max(1, X.shape[0] // 4096)
    some = np.asarray(X[::step], np.float64)
    size = float(np.sqrt(np.square(some).mean()))
    return size if size > SMALLEST_SIZE else 1.0
