"""Labels as the solvers want them: a sign and a weight for each row and class.

Labels are ``(n_images,)`` values, or ``(n_images, n_classes)`` of 1 (present), -1 (absent) and 0
("difficult": the row is left out of that class).
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight
from torch import Tensor

ClassWeight = dict[Any, float] | Literal["balanced"] | None


@dataclass(frozen=True, eq=False)
class Targets:
    """Signs and weights of rows in classes.

    Attributes
    ----------
    classes : numpy.ndarray
        ``(n_classes,)`` labels; column numbers where a row may have several.
    signs : numpy.ndarray
        ``(n, m)`` int8 of 1, -1 and 0; m is 1 where there are two classes, one label a row.
    weight : numpy.ndarray
        ``(n, m)``, ``(n, 1)`` or ``(1, 1)``.
    constant : numpy.ndarray
        ``(m,)`` int8: the one score of a class that all rows have (1) or none has (-1), from
        which nothing is learned and which leaves all rows out; 0 for all others.
    multilabel : bool
        Whether a row may have several labels.
    """

    classes: npt.NDArray[Any]
    signs: npt.NDArray[np.int8]
    weight: npt.NDArray[np.float64]
    constant: npt.NDArray[np.int8]
    multilabel: bool = False

    @property
    def n_columns(self) -> int:
        """Number of columns of coefficients."""
        return int(self.signs.shape[1])

    def tensors(self, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Return signs and weight as tensors."""
        return (
            torch.as_tensor(self.signs).to(device, dtype),
            torch.as_tensor(self.weight).to(device, dtype),
        )


def encode(
    y: npt.ArrayLike,
    class_weight: ClassWeight = None,
    sample_weight: npt.ArrayLike | None = None,
    *,
    weight_of: Literal["label", "sign"],
) -> Targets:
    """Return the signs and weights of labels.

    Parameters
    ----------
    y : array-like
        ``(n,)`` labels or an ``(n, m)`` matrix of 1, -1 and 0.
    class_weight : dict, "balanced" or None
        Weight of each label; for a label matrix, of the signs 1 and -1.
    sample_weight : array-like, optional
        ``(n,)`` weights of the rows.
    weight_of : {"label", "sign"}
        With more than two classes, one label a row: whether a row carries the weight of its own
        label in every class (scikit-learn's LogisticRegression), or in its own class only, as
        LIBLINEAR has it.

    Returns
    -------
    Targets
        The signs and weights.

    Raises
    ------
    ValueError
        If there is one class only, or the labels are of another kind.
    """
    labels = np.asarray(y)
    if labels.ndim == 2:
        return _encode_matrix(labels, class_weight, sample_weight)
    with warnings.catch_warnings():
        # One image a class is few, and usual.
        warnings.filterwarnings("ignore", "The number of unique classes is greater than 50%")
        check_classification_targets(labels)
    classes, numbers = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"This solver needs samples of at least 2 classes in the data, but the data contains "
            f"only one class: {classes[0]!r}"
        )
    # Balanced by the weight of the rows, as scikit-learn's LogisticRegression does.
    rows = {"sample_weight": sample_weight} if class_weight == "balanced" else {}
    per_class = compute_class_weight(class_weight, classes=classes, y=labels, **rows)
    if len(classes) == 2:
        signs = np.where(numbers == 1, 1, -1).astype(np.int8)[:, None]
    else:
        signs = np.full((len(numbers), len(classes)), -1, np.int8)
        signs[np.arange(len(numbers)), numbers] = 1
    weight = per_class[numbers][:, None]
    if len(classes) > 2 and weight_of == "sign":
        weight = np.ones((1, 1)) if class_weight is None else np.where(signs > 0, per_class, 1.0)
    constant = np.zeros(signs.shape[1], np.int8)
    return Targets(classes, signs, _weigh(weight, labels, sample_weight), constant)


def _encode_matrix(
    labels: npt.NDArray[Any], class_weight: ClassWeight, sample_weight: npt.ArrayLike | None
) -> Targets:
    if not np.isin(labels, (-1, 0, 1)).all():
        raise ValueError(
            f"A label matrix holds 1, -1 and 0 (row left out of that class) only; "
            f"found {np.setdiff1d(labels, (-1, 0, 1))[:5].tolist()}"
        )
    constant = constant_columns(labels)
    if constant.all():
        raise ValueError(
            "This solver needs a class with rows labelled 1 and rows labelled -1, but the data "
            "contains only one class in every column; add rows or leave classes out"
        )
    if class_weight is not None and not isinstance(class_weight, dict):
        raise ValueError("class_weight of a label matrix is a dict such as {1: 2, -1: 1} or None")
    signs = np.where(constant == 0, labels, 0).astype(np.int8)
    weight = np.ones((1, 1))
    if class_weight is not None:
        weight = np.where(signs > 0, class_weight.get(1, 1.0), class_weight.get(-1, 1.0))
    columns = np.arange(labels.shape[1])
    return Targets(columns, signs, _weigh(weight, labels, sample_weight), constant, multilabel=True)


def constant_columns(labels: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return ``(m,)`` 1 for a class that all rows have, -1 where none has, 0 for all others."""
    present, absent = (labels > 0).any(0), (labels < 0).any(0)
    return np.where(present & absent, 0, np.where(present, 1, -1)).astype(np.int8)


def _weigh(
    weight: npt.NDArray[Any], labels: npt.NDArray[Any], sample_weight: npt.ArrayLike | None
) -> npt.NDArray[np.float64]:
    if sample_weight is None:
        return weight.astype(np.float64)
    rows = _check_sample_weight(sample_weight, labels, ensure_non_negative=True)
    product: npt.NDArray[np.float64] = weight * rows[:, None]
    return product
