"""A trained detector as one file: how a region becomes features, an SVM and a regression a class.

Its tensors are ``svm.weight``, ``svm.bias`` and, of class N, ``boxes.N.weight`` and
``boxes.N.offset``.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decaf.detection_records import Detection
from decaf.regions.box_regression import BoxRegression
from decaf.trained_net import TrainedOnNet, read_fields, read_model, said_fields, write_model
from decaf.types import FloatArray

_KIND = "decaf detector 1"
_OTHERS = ("how", "svm_weights", "svm_bias", "regressions")
"""Fields that are written in a form of their own."""


@dataclass(frozen=True, eq=False)
class Detector(TrainedOnNet):
    """Everything that finds objects in images, but for the net's own weights.

    Beside `TrainedOnNet`'s fields it has these.

    Attributes
    ----------
    how : Detection
        What proposes regions, how they are seen, which detections stay.
    scale : float
        What features are multiplied by.
    svm_weights, svm_bias : numpy.ndarray
        ``(n_classes, n_features)`` and ``(n_classes,)`` float32.
    regressions : tuple of BoxRegression or None
        One a class; None where no proposal of the training was near an object.
    """

    how: Detection
    scale: float
    svm_weights: FloatArray
    svm_bias: FloatArray
    regressions: tuple[BoxRegression | None, ...]

    def scores(self, X: FloatArray) -> FloatArray:
        """Return ``(n, n_classes)`` scores of scaled features."""
        return X @ self.svm_weights.T + self.svm_bias

    def moved(self, number: int, boxes: FloatArray, X: FloatArray) -> FloatArray:
        """Return half-open boxes as the regression of a class moves them, by scaled features."""
        regression = self.regressions[number]
        return boxes if regression is None else regression.move(boxes, X)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        tensors = {
            "svm.weight": torch.from_numpy(self.svm_weights.astype(np.float32)),
            "svm.bias": torch.from_numpy(self.svm_bias.astype(np.float32)),
        }
        for number, one in enumerate(self.regressions):
            if one is not None:
                tensors[f"boxes.{number}.weight"] = torch.from_numpy(one.weights)
                tensors[f"boxes.{number}.offset"] = torch.from_numpy(one.offset)
        about = {"kind": _KIND, "how": asdict(self.how), **said_fields(self, *_OTHERS)}
        write_model(path, about, tensors)

    @classmethod
    def load(cls, path: str | Path) -> "Detector":
        """Read a file that `save` wrote.

        Raises
        ------
        DataError
            If it is missing, damaged, of another kind, or holds values that are not finite.
        """
        return read_model(path, _parsed, what="detector", command="decaf detect train")


def _parsed(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Detector:
    if about.get("kind") != _KIND or "sha256" not in about:
        raise ValueError(f"it is no {_KIND}")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ValueError("it holds values that are not finite")
    values = read_fields(Detector, about, *_OTHERS)
    weights, bias = tensors["svm.weight"].numpy(), tensors["svm.bias"].numpy()
    n_classes = len(values["class_names"])
    if weights.shape[0] != n_classes or bias.shape != (n_classes,):
        raise ValueError("the SVMs do not fit the class names")
    regressions = tuple(
        BoxRegression(
            tensors[f"boxes.{number}.weight"].numpy(), tensors[f"boxes.{number}.offset"].numpy()
        )
        if f"boxes.{number}.weight" in tensors
        else None
        for number in range(n_classes)
    )
    return Detector(
        how=Detection(**about["how"]),
        svm_weights=weights,
        svm_bias=bias,
        regressions=regressions,
        **values,
    )
