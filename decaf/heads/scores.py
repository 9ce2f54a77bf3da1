"""From features to a head's scores, classes and probabilities."""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from decaf.device import find_device
from decaf.heads.features import blocks, checked_features, compute_dtype
from decaf.rowwise import probabilities
from decaf.types import FloatArray


class Predictions(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """A classifier that has scores; subclasses give them."""

    device: str
    memory_share: float
    classes_: npt.NDArray[Any]
    multilabel_: bool

    @abstractmethod
    def decision_function(self, X: Any) -> FloatArray:
        """Return one score per row and class."""

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the class of each row, or a matrix of 1 and -1 where a row may have several.

        Parameters
        ----------
        X : array-like
            ``(n_images, n_features)``.

        Returns
        -------
        numpy.ndarray
            ``(n_images,)`` labels, or ``(n_images, n_classes)`` of 1 and -1.
        """
        scores = self.decision_function(X)
        if self.multilabel_:
            return np.where(scores > 0, 1, -1)
        column = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(1)
        labels: npt.NDArray[Any] = self.classes_[column]
        return labels


def check_weights(head: Predictions, *weights: FloatArray) -> None:
    """Raise where a fit ended with weights that are not finite."""
    if not all(np.isfinite(one).all() for one in weights):
        raise ValueError(
            f"{type(head).__name__} ended with weights that are NaN or infinite; scale the "
            f"features, or ask for less: a smaller C or learning rate"
        )


class LayeredScores(Predictions):
    """Scores of matrices, each with biases, with a ReLU between them."""

    @abstractmethod
    def layers(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return each layer's weights ``(n_out, n_in)`` and biases."""

    def decision_function(self, X: Any) -> FloatArray:
        """Return one score per row and class.

        Parameters
        ----------
        X : array-like
            ``(n_images, n_features)``.

        Returns
        -------
        numpy.ndarray
            ``(n_images, n_classes)``, or ``(n_images,)`` where there are two classes: positive
            for the second.
        """
        check_is_fitted(self)
        X = checked_features(self, X, reset=False)
        device, dtype = find_device(self.device), compute_dtype(X)
        layers = [
            (torch.as_tensor(W.T).to(device, dtype), torch.as_tensor(b).to(device, dtype))
            for W, b in self.layers()
        ]
        parts = []
        for _, block in blocks(X, device, dtype):
            for k, (W, b) in enumerate(layers):
                block = torch.addmm(b, block.relu_() if k else block, W)  # noqa: PLW2901 - layer after layer
            parts.append(block.cpu())
        F: FloatArray = torch.cat(parts).numpy()
        return F if F.shape[1] > 1 else F[:, 0]


class Probabilities(Predictions):
    """Probabilities from scores that are logits."""

    multi_class: str

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like
            ``(n_images, n_features)``.

        Returns
        -------
        numpy.ndarray
            ``(n_images, n_classes)``; rows sum to 1 except for label matrices.
        """
        scores = self.decision_function(X)
        softmax = scores.ndim == 1 or is_softmax(
            self.multi_class, self.multilabel_, scores.shape[1]
        )
        p = probabilities(scores, exclusive=softmax)
        return p if softmax or self.multilabel_ else p / p.sum(1, keepdims=True)


def is_softmax(multi_class: str, multilabel: bool, n_columns: int) -> bool:
    """Return whether all classes are one problem."""
    return multi_class == "multinomial" and not multilabel and n_columns > 1
