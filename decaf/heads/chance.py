"""What a head that learned nothing scores: the control beside real ones."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from decaf.heads.features import checked_features, checked_rows
from decaf.heads.scores import Predictions
from decaf.heads.targets import encode
from decaf.types import FloatArray

CHANCE = "chance"


class RandomScores(Predictions):
    """Scores at random, whatever the features.

    Parameters
    ----------
    device : str
        Not used; all heads have it.
    memory_share : float
        Not used; all heads have it.
    random_state : int
        Seed of the scores.
    """

    def __init__(
        self, *, device: str = "auto", memory_share: float = 0.5, random_state: int = 0
    ) -> None:
        self.device, self.memory_share, self.random_state = device, memory_share, random_state

    def fit(self, X: Any, y: npt.ArrayLike) -> Self:
        """Learn which classes there are."""
        _, y = checked_rows(self, X, y)
        targets = encode(y, weight_of="label")
        self.classes_, self.multilabel_ = targets.classes, targets.multilabel
        return self

    def decision_function(self, X: Any) -> FloatArray:
        """Return random scores ``(n_images, n_classes)``, or ``(n_images,)`` of two classes."""
        X = checked_features(self, X, reset=False)
        flat = len(self.classes_) == 2 and not self.multilabel_
        shape = (X.shape[0],) if flat else (X.shape[0], len(self.classes_))
        return np.random.default_rng(self.random_state).random(shape) - 0.5
