"""A fine-tuned net as a head whose features are numbers of images."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from decaf.finetuning.inputs import Inputs
from decaf.finetuning.loop import Epoch, best_epoch, predicted
from decaf.finetuning.model import Layer, Model
from decaf.heads import FittedSplit
from decaf.protocols import PatchFeatures, ViewFeatures
from decaf.types import FloatArray, IntArray

FINETUNE = "finetune"
"""Name of the head that takes its net along."""


def row_numbers(features: ViewFeatures | PatchFeatures) -> ViewFeatures:
    """Return what a fine-tuned net is tested on in the place of features: row numbers.

    Parameters
    ----------
    features : ViewFeatures or PatchFeatures
        Features of the frozen net, one row an image.

    Returns
    -------
    ViewFeatures
        The same to train on; ``(n_images, 1)`` row numbers to test on.
    """
    numbers = np.arange(float(len(features.train)))[:, None]
    return ViewFeatures(features.train, numbers, 1, 1)


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A net and its head, trained on a split.

    Attributes
    ----------
    classes_ : numpy.ndarray
        ``(n_classes,)`` label of each score.
    model : Model
        The trained net and head.
    history : list of Epoch
        The start and each epoch of the run that chose.
    n_epochs : int
        The number chosen; 0 where no epoch was better than the start.
    seconds : float
        Training and choice together.
    """

    classes_: IntArray
    model: Model
    history: list[Epoch]
    n_epochs: int
    seconds: float
    _inputs: Inputs

    def decision_function(self, X: FloatArray) -> FloatArray:
        """Return ``(n, n_classes)`` logits of images, given as ``(n, 1)`` row numbers."""
        return predicted(self.model, self._inputs, X[:, 0].astype(np.int64))

    def state(self) -> dict[str, Tensor]:
        """Return the net's state dict; what was not trained is as it was, or missing."""
        return self.model.weights()

    def head(self) -> Layer:
        """Return the head's weight and bias, for features that are normalised by row."""
        return self.model.head.layer()

    def as_fitted_split(self) -> FittedSplit:
        """Return the same in the form in which heads are tested."""
        nan = float("nan")
        return FittedSplit(
            head=self,
            C=None,
            c_at_edge=False,
            validation=np.array([epoch.value for epoch in self.history]),
            converged=True,
            objective=nan,
            gradient_norm=nan,
            seconds=self.seconds,
            notes=(self.said(),),
        )

    def said(self) -> str:
        """Return what is to be said of the training, in one line."""
        blocks = [block.modules[0] for block in self.model.net.blocks]
        what = f"{blocks[0]} to {blocks[-1]}" if len(blocks) > 1 else blocks[0]
        words = f"fine-tuned {what} for {self.n_epochs} of {len(self.history) - 1} epochs"
        if np.isnan(self.history[0].value):
            return f"{words}; a class has a single image, so that nothing was validated"
        first, best = self.history[0].value, self.history[best_epoch(self.history)].value
        return f"{words}; on validation images {first:.3f} at the start, {best:.3f} after them"
