"""Losses of all classes at once: value, gradient and Hessian product in the scores.

Shapes, for n rows and m classes::

    F       (n, m)   scores, F = X W + 1 b'
    Y       (n, m)   1 for the class, -1 against it, 0 where the row does not count for it
    weight  (n, m)   weight of a row in a class, or anything that broadcasts to it

A *group* is a set of classes that are solved together: one class each for the one-vs-rest
losses, all classes for the softmax. Sums over groups have shape ``(n_groups,)``; values are
summed in float64.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Loss:
    """A convex loss of the scores, summed over rows; as it stands here, each class for itself."""

    Y: Tensor
    weight: Tensor
    C: float

    coupled = False

    @property
    def n_groups(self) -> int:
        """Number of groups that can be solved apart."""
        return self.Y.shape[1]

    def total(self, per_class: Tensor) -> Tensor:
        """Return sums over groups ``(n_groups,)`` of a value per class ``(m,)``."""
        return per_class

    def visible(self, params: Tensor) -> Tensor:
        """Return coefficients ``(n_params, m)`` without what cannot change the loss."""
        return params

    def columns(self, groups: Tensor) -> Self:
        """Return the loss of some groups only."""
        weight = self.weight if self.weight.shape[1] == 1 else self.weight[:, groups]
        return replace(self, Y=self.Y[:, groups], weight=weight)

    def value(self, F: Tensor) -> Tensor:
        """Return each group's loss ``(n_groups,)``."""
        raise NotImplementedError

    def gradient(self, F: Tensor) -> Tensor:
        """Return the derivative in the scores ``(n, m)``."""
        raise NotImplementedError

    def curvature(self, F: Tensor) -> Tensor:
        """Return what the second derivative in the scores is made of, ``(n, m)``."""
        raise NotImplementedError

    def hessian(self, D: Tensor, V: Tensor) -> Tensor:
        """Return the Hessian's product, with the curvature `D`, with a change of scores `V`."""
        return D * V

    def mean_curvature(self, D: Tensor) -> Tensor:
        """Return the mean second derivative of a row in each class, ``(m,)``."""
        return D.mean(0)


LossType = Callable[[Tensor, Tensor, float], Loss]
"""Makes a loss of signs, weight and C."""


class SquaredHinge(Loss):
    """``C * weight * max(0, 1 - Y F)**2``, LIBLINEAR's L2-loss."""

    def slack(self, F: Tensor) -> Tensor:
        """Return how far each row is short of its margin, ``(n, m)``; 0 for rows left out."""
        return (1 - self.Y * F).clamp_(min=0) * self.Y.abs()

    def value(self, F: Tensor) -> Tensor:
        """Return each class's loss."""
        return self.C * (self.weight * self.slack(F).square_()).sum(0, dtype=torch.float64)

    def gradient(self, F: Tensor) -> Tensor:
        """Return the derivative in the scores."""
        return self.slack(F).mul_(self.Y).mul_(-2 * self.C * self.weight)

    def curvature(self, F: Tensor) -> Tensor:
        """Return the generalised second derivative: ``2 C weight`` on the support rows."""
        return (self.slack(F) > 0) * (2 * self.C * self.weight)


class Logistic(Loss):
    """``C * weight * log(1 + exp(-Y F))``."""

    def value(self, F: Tensor) -> Tensor:
        """Return each class's loss."""
        loss = torch.nn.functional.softplus(-self.Y * F) * self.Y.abs()
        return self.C * (self.weight * loss).sum(0, dtype=torch.float64)

    def gradient(self, F: Tensor) -> Tensor:
        """Return the derivative in the scores."""
        return torch.sigmoid(-self.Y * F).mul_(self.Y).mul_(-self.C * self.weight)

    def curvature(self, F: Tensor) -> Tensor:
        """Return the second derivative in the scores."""
        p = torch.sigmoid(F)
        return p.mul_(1 - p).mul_(self.Y.abs()).mul_(self.C * self.weight)


class Softmax(Loss):
    """``-C * weight * log(softmax(F)[class])``, all classes together; `weight` is ``(n, 1)``."""

    coupled = True

    @property
    def n_groups(self) -> int:
        """One."""
        return 1

    def total(self, per_class: Tensor) -> Tensor:
        """Return the sum over classes, ``(1,)``."""
        return per_class.sum(0, keepdim=True)

    def visible(self, params: Tensor) -> Tensor:
        """Return the coefficients less their mean over classes, which shifts all scores alike."""
        return params - params.mean(1, keepdim=True)

    def value(self, F: Tensor) -> Tensor:
        """Return the loss ``(1,)``."""
        own = F[self.Y > 0].unsqueeze(1)
        loss = torch.logsumexp(F, 1, keepdim=True) - own
        return self.C * (self.weight * loss).sum(0, dtype=torch.float64)

    def gradient(self, F: Tensor) -> Tensor:
        """Return the derivative in the scores."""
        return torch.softmax(F, 1).sub_(self.Y.clamp(min=0)).mul_(self.C * self.weight)

    def curvature(self, F: Tensor) -> Tensor:
        """Return the probabilities p: of a row it is ``C * weight * (diag(p) - p p')``."""
        return torch.softmax(F, 1)

    def hessian(self, D: Tensor, V: Tensor) -> Tensor:
        """Return the product with a change of scores."""
        product = D * V
        return product.sub_(D * product.sum(1, keepdim=True)).mul_(self.C * self.weight)

    def mean_curvature(self, D: Tensor) -> Tensor:
        """Return the mean of the diagonal."""
        return (self.C * self.weight * D * (1 - D)).mean(0)

    def columns(self, groups: Tensor) -> Self:  # noqa: ARG002 - one group
        """Return the whole."""
        return self
