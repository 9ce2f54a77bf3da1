"""Linear heads trained on features of which a random part is dropped.

Each visit of a training row draws a fresh mask. Kept features are scaled by ``1 / (1 - rate)`` and
nothing is dropped in prediction: the inverted form of dropping in training and scaling in
prediction, the same up to the value of C. The objective is the plain head's, its loss averaged
over masks, minimised by Adam on small batches with a step length that falls to 0; what is kept is
the mean of the coefficients over the second half of the steps. All values of C are trained side by
side on the same masks. Where C is small the coefficients are small, at most those that the gradient
at 0 would give alone, and so are the steps. docs/adr/0003-dropout.md compares it with fixed masks.

References
----------
J. Donahue et al., "DeCAF: a deep convolutional activation feature for generic visual
recognition", 2014 (section 4.1: the heads drop features with probability 0.5).
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import clone
from torch import Tensor, nn

from decaf.device import find_device
from decaf.heads.estimators import LinearModel, logistic_loss
from decaf.heads.features import (
    SMALLEST_SIZE,
    blocks,
    check_positive,
    checked_rows,
    compute_dtype,
    placed,
    taken,
)
from decaf.heads.losses import LossType, SquaredHinge
from decaf.heads.scores import Probabilities
from decaf.heads.targets import ClassWeight, Targets, encode
from decaf.types import FloatArray

LEARNING_RATE = 0.05
SETTLED = 0.1
"""Most that the objective may change from the last but one fifth of the epochs to the last."""


class DropoutHead(LinearModel):
    """A linear head on features of which a random part is dropped; subclasses name the loss.

    Parameters
    ----------
    C : float
        Inverse strength of the regularisation.
    rate : float
        Probability that a feature is dropped, from 0 to below 1.
    class_weight : dict, "balanced" or None
        Weight of each class, as in the plain head.
    n_epochs : int
        Visits of each training row.
    batch_size : int
        Rows a step; fewer where there are less than eight batches of rows.
    random_state : int
        Seed of masks and order.
    device, memory_share : optional
        As in :class:`decaf.heads.LinearSVM`.

    Attributes
    ----------
    coef_, intercept_, classes_ : numpy.ndarray
        As in the plain head.
    n_iter_ : int
        Epochs.
    objective_ : float
        Mean over the last fifth of the epochs, of the masks and coefficients of each step.
    converged_ : bool
        Whether that is within 10 % of the mean over the fifth before.
    """

    _bias_is_free: bool
    _weight_of: Literal["label", "sign"]

    def __init__(
        self,
        C: float = 1.0,
        *,
        rate: float = 0.5,
        class_weight: ClassWeight = None,
        n_epochs: int = 30,
        batch_size: int = 128,
        random_state: int = 0,
        device: str = "auto",
        memory_share: float = 0.5,
    ) -> None:
        self.C, self.rate, self.class_weight = C, rate, class_weight
        self.n_epochs, self.batch_size, self.random_state = n_epochs, batch_size, random_state
        self.device, self.memory_share = device, memory_share

    @abstractmethod
    def _loss(self, targets: Targets) -> LossType:
        """Return the loss of the scores."""

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:
        """Fit on rows of features; see :meth:`decaf.heads.LinearSVM.fit`."""
        (fitted,) = self._fit_heads([self], X, y)
        return fitted

    def fit_path(self, X: Any, y: npt.ArrayLike, Cs: Sequence[float]) -> list[Self]:
        """Return one fitted head for each value of C, all on the same masks; see :meth:`fit`."""
        return self._fit_heads([clone(self).set_params(C=C) for C in Cs], X, y)

    def _fit_heads(self, heads: list[Self], X: Any, y: Any) -> list[Self]:
        for head in heads:
            check_positive(C=head.C)
        check_positive(n_epochs=self.n_epochs, batch_size=self.batch_size)
        if not 0 <= self.rate < 1:
            raise ValueError(f"rate must be at least 0 and below 1; got rate={self.rate!r}")
        X, y = checked_rows(self, X, y)
        targets = encode(y, self.class_weight, weight_of=self._weight_of)
        device = find_device(self.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.random_state)
            W, history = self._descend(X, targets, [head.C for head in heads])
        last = -(-self.n_epochs // 5)
        now, before = history[-last:].mean(0), history[-2 * last : -last].mean(0)
        for k, head in enumerate(heads):
            head.learn(W[:-1, k], W[-1, k], targets)
            head.n_iter_ = self.n_epochs
            head.objective_ = float(now[k])
            head.converged_ = bool(abs(before[k] - now[k]) <= SETTLED * now[k])
        return heads

    def _descend(self, X: Any, targets: Targets, Cs: Sequence[float]) -> tuple[Tensor, FloatArray]:
        """Return coefficients ``(d + 1, n_Cs, m)`` and the objective ``(n_epochs, n_Cs)``."""
        batches = _Batches(X, find_device(self.device), self.rate)
        signs, weight = targets.tensors(batches.device, batches.dtype)
        weight = weight.expand(len(signs), -1)
        shape = (X.shape[1] + 1, len(Cs), targets.n_columns)
        W = torch.zeros(shape, device=batches.device, dtype=batches.dtype)
        penalty = torch.full_like(W[:, :1, :1], 1 / batches.row_size**2)
        penalty[-1] = 0 if self._bias_is_free else 1
        loss = self._loss(targets)
        at_zero = loss(signs, weight, 1.0).gradient(torch.zeros_like(signs))
        reach = float((batches.adjoint(at_zero).abs() / penalty[:-1, 0]).max())
        scale = torch.tensor(Cs, device=batches.device, dtype=batches.dtype)
        scale = (scale * reach).clamp(max=1)[:, None]
        V, average, n_averaged = torch.zeros_like(W), torch.zeros_like(W), 0
        adam = torch.optim.Adam([V], lr=LEARNING_RATE, fused=True)
        size = min(self.batch_size, -(-len(signs) // 8))
        n_steps = self.n_epochs * -(-len(signs) // size)
        schedule = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 1 / n_steps, n_steps)
        # One row of labels for each row of features and C, so that all C are one loss.
        grid = torch.tensor(Cs, device=batches.device, dtype=batches.dtype).repeat(size)[:, None]
        watched = self.n_epochs - 2 * -(-self.n_epochs // 5)
        history = np.full((self.n_epochs, len(Cs)), np.nan)
        for epoch in range(self.n_epochs):
            if epoch >= watched:
                history[epoch] = 0
            for rows, features in batches.draw(size):
                share = len(rows) / len(signs)
                repeated = rows.repeat_interleave(len(Cs))
                C = grid[: len(repeated)]
                scores = (features @ W.flatten(1)).view(len(repeated), -1)
                if epoch >= watched:
                    history[epoch] += (share / 2 * (penalty * W.square()).sum((0, 2))).tolist()
                    for k, one in enumerate(Cs):
                        value = loss(signs[rows], weight[rows], one).value(scores[k :: len(Cs)])
                        history[epoch, k] += float(value.sum())
                R = loss(signs[repeated], weight[repeated] * C, 1.0).gradient(scores)
                R = R.view(len(rows), -1)
                V.grad = (penalty * W + (features.T @ R).view(shape) / share) * scale
                adam.step()
                schedule.step()
                torch.mul(V, scale, out=W)
                if epoch >= self.n_epochs // 2:
                    n_averaged += 1
                    average.lerp_(W, 1 / n_averaged)
        average[:-1] /= batches.row_size
        return average, history


class _Batches:
    """Batches of rows with masked features, in random order.

    Features are divided by the mean length of a row, which makes one learning rate right for all,
    and a constant feature that is never dropped comes last.
    """

    def __init__(self, X: Any, device: torch.device, rate: float) -> None:
        self.device, self.dtype, self.rate = device, compute_dtype(X), rate
        self.X = placed(X, device)
        lengths = [b.norm(dim=1).cpu() for _, b in blocks(self.X, device, self.dtype)]
        size = float(torch.cat(lengths).mean())
        self.row_size = size if size > SMALLEST_SIZE else 1.0

    def adjoint(self, R: Tensor) -> Tensor:
        """Return ``X' R`` for scaled features without a mask and ``(n, m)`` values of rows."""
        parts = (b.T @ R[rows] for rows, b in blocks(self.X, self.device, self.dtype))
        total = sum(parts, start=R.new_zeros((self.X.shape[1], R.shape[1])))
        return total / self.row_size

    def draw(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield row numbers ``(size,)`` and features ``(size, d + 1)`` of one epoch."""
        order = torch.randperm(self.X.shape[0], device=self.device)
        for chosen in torch.split(order, size):
            rows = chosen.sort().values
            kept = nn.functional.dropout(taken(self.X, rows), self.rate)
            yield rows, nn.functional.pad(kept.div_(self.row_size), (0, 1), value=1.0)


class DropoutSVM(DropoutHead):
    """Linear SVM with the squared hinge on features of which a random part is dropped."""

    _bias_is_free = False
    _weight_of = "sign"

    def _loss(self, targets: Targets) -> LossType:  # noqa: ARG002 - one loss for all labels
        return SquaredHinge


class DropoutLogisticRegression(Probabilities, DropoutHead):
    """Multinomial logistic regression on features of which a random part is dropped."""

    multi_class = "multinomial"
    _bias_is_free = True
    _weight_of = "label"

    def _loss(self, targets: Targets) -> LossType:
        return logistic_loss(self.multi_class, targets)
