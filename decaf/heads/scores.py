"""From features to a head's scores, classes and probabilities; a fitted head as matrices."""

from abc import abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from decaf.device import find_device
from decaf.heads.features import blocks, checked_features, compute_dtype
from decaf.rowwise import probabilities
from decaf.types import FloatArray, IntArray


class Predictions(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """A classifier that has scores; subclasses give them."""

    device: str
    memory_share: float
    classes_: npt.NDArray[Any]
    multilabel_: bool

    @abstractmethod
    def decision_function(self, X: Any) -> FloatArray:
        """Return the scores of rows ``(n_images, n_features)``.

        They are ``(n_images, n_classes)``, or ``(n_images,)`` where there are two classes: positive
        for the second.
        """

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the label of each row, or ``(n_images, n_classes)`` of 1 and -1 for several."""
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
        """Return one score per row and class."""
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
        """Return probabilities ``(n_images, n_classes)``; rows sum to 1 but for label matrices."""
        scores = self.decision_function(X)
        softmax = scores.ndim == 1 or is_softmax(
            self.multi_class, self.multilabel_, scores.shape[1]
        )
        p = probabilities(scores, exclusive=softmax)
        return p if softmax or self.multilabel_ else p / p.sum(1, keepdims=True)


def is_softmax(multi_class: str, multilabel: bool, n_columns: int) -> bool:
    """Return whether all classes are one problem."""
    return multi_class == "multinomial" and not multilabel and n_columns > 1


def head_layers(head: Any) -> list[tuple[FloatArray, FloatArray]]:
    """Return a fitted head's weights ``(n_out, n_in)`` and biases, one row a class in the last.

    A scaling of features before it goes into the first layer; two classes that share one score s
    become the scores 0 and s, whose softmax is s's sigmoid.
    """
    scaler = head[0] if isinstance(head, Pipeline) else None
    last = head[-1] if isinstance(head, Pipeline) else head
    layers = [*last.layers()]
    if scaler is not None:
        weight, bias = layers[0]
        layers[0] = (weight / scaler.scale_, bias - weight @ (scaler.mean_ / scaler.scale_))
    weight, bias = layers[-1]
    if len(bias) == 1:
        layers[-1] = (np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias]))
    return layers


def calibrate(
    scores: FloatArray, labels: IntArray, classes: IntArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return factors and offsets that make margins the logits of probabilities.

    Classes that exclude each other share one factor, the inverse of a temperature, before their
    softmax [1]_; a class that does not has a sigmoid of its own, fitted to Platt's targets [2]_.

    Parameters
    ----------
    scores : numpy.ndarray
        ``(n,)`` or ``(n, n_classes)`` scores of rows that were not trained on.
    labels : numpy.ndarray
        ``(n,)`` labels, or ``(n, n_classes)`` of 1, -1 and 0 (not counted). Of some classes there
        may be none; a label that is no class is not counted.
    classes : numpy.ndarray, optional
        ``(n_classes,)`` label of each score, ascending, as the head that made them has it; 0, 1
        and so on if not given.

    Returns
    -------
    numpy.ndarray
        ``(n_classes,)`` or ``(1,)`` factors.
    numpy.ndarray
        The same, of offsets.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Weinberger, "On calibration of modern neural networks",
       ICML 2017 (section 4.2).
    .. [2] J. Platt, "Probabilistic outputs for support vector machines", 1999 (section 2.2).
    """
    if labels.ndim == 1:
        if classes is None:
            classes = np.arange(2 if scores.ndim == 1 else scores.shape[1])
        known = np.isin(labels, classes)
        column = np.searchsorted(classes, labels[known])
        return np.array([1 / _temperature(scores[known], column)]), np.zeros(1)
    pairs = [_sigmoid(*one) for one in zip(scores.T, labels.T, strict=True)]
    factors, offsets = np.array(pairs).T
    return factors, offsets


def scores_of(scores: FloatArray, own: IntArray, classes: IntArray) -> FloatArray:
    """Return the scores of a head that knows some of the classes, in the columns of all.

    Parameters
    ----------
    scores : numpy.ndarray
        ``(n, len(own))``, or ``(n,)`` where it knows two.
    own : numpy.ndarray
        Classes that the head knows, all among `classes`.
    classes : numpy.ndarray
        All of them, ascending.

    Returns
    -------
    numpy.ndarray
        `scores` as they are where no class is missing; else ``(n, len(classes))``, in which a
        class that the head does not know has the lowest score of all.
    """
    if len(own) == len(classes):
        return scores
    two = np.stack([np.zeros_like(scores), scores], 1) if scores.ndim == 1 else scores
    found: FloatArray = np.full((len(two), len(classes)), two.min(initial=0), two.dtype)
    found[:, np.searchsorted(classes, own)] = two
    return found


def _temperature(scores: FloatArray, column: IntArray) -> float:
    if not len(column):
        return 1.0
    F = scores if scores.ndim == 2 else np.stack([np.zeros_like(scores), scores], 1)
    margins = F - F[np.arange(len(F)), column, None]

    def loss(log_t: float) -> float:
        return float(np.logaddexp.reduce(margins / np.exp(log_t), axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=np.log([1e-3, 1e3]), method="bounded").x))


def _sigmoid(scores: FloatArray, labels: IntArray) -> tuple[float, float]:
    s, y = scores[labels != 0, None], labels[labels != 0]
    if not len(y):
        return 1.0, 0.0
    n_positive = int((y > 0).sum())
    target = np.where(y > 0, (n_positive + 1) / (n_positive + 2), 1 / (len(y) - n_positive + 2))
    unit = float(s.std()) or 1.0
    fitted = LogisticRegression(C=np.inf).fit(
        np.concatenate([s, s]) / unit,
        np.repeat([1, 0], len(s)),
        np.concatenate([target, 1 - target]),
    )
    return float(fitted.coef_[0, 0]) / unit, float(fitted.intercept_[0])
