"""A trained detector as one file: how a region becomes features, an SVM and a regression a class.

The file is safetensors; under ``decaf`` in the metadata is a JSON object with all other fields.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from decaf._version import __version__
from decaf.choices import Decoder, Precision
from decaf.classifier import file_digest
from decaf.detection_records import Detection
from decaf.errors import ConfigError, DataError
from decaf.regions.box_regression import BoxRegression
from decaf.tensor_file import read_tensors, write_tensors
from decaf.types import FloatArray

_KIND = "decaf detector 1"
_TEXTS = ("backbone", "weights", "weights_sha256", "precision", "layer", "pool", "decoder")


@dataclass(frozen=True, eq=False)
class Detector:
    """Everything that finds objects in images, but for the net's own weights.

    Attributes
    ----------
    backbone, weights, weights_sha256 : str
        The net, where its weights came from, and their SHA-256 in hexadecimal.
    seed : int
        Seed of random weights.
    precision, layer, pool, decoder : str
        What is read of the net; see `decaf.extract`.
    how : Detection
        What proposes regions, how they are seen, which detections stay.
    class_names : tuple of str
        Names of the classes.
    scale : float
        What features are multiplied by.
    svm_weights, svm_bias : numpy.ndarray
        ``(n_classes, n_features)`` and ``(n_classes,)`` float32.
    regressions : tuple of BoxRegression or None
        One a class; None where no proposal of the training was near an object.
    folder : pathlib.Path or None
        Where the file lies that it was read from; not written.
    """

    backbone: str
    weights: str
    weights_sha256: str
    seed: int
    precision: Precision
    layer: str
    pool: str
    decoder: Decoder
    how: Detection
    class_names: tuple[str, ...]
    scale: float
    svm_weights: FloatArray
    svm_bias: FloatArray
    regressions: tuple[BoxRegression | None, ...]
    folder: Path | None = None

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
        about = {"kind": _KIND, "decaf_version": __version__, "how": asdict(self.how)}
        about |= {name: getattr(self, name) for name in (*_TEXTS, "seed", "class_names", "scale")}
        about["sha256"] = file_digest(about, tensors)
        write_tensors(path, tensors, {"decaf": json.dumps(about)})

    @classmethod
    def load(cls, path: str | Path) -> "Detector":
        """Read a file that `save` wrote.

        Raises
        ------
        DataError
            If it is missing, damaged, of another kind, or holds values that are not finite.
        """
        path = Path(path)
        found = read_tensors(path, "the detector", "give a trained one")
        if found is None:
            raise DataError(f"asked for the detector {path}, found no such file; train one")
        tensors, metadata = found
        try:
            about = json.loads(metadata["decaf"])
            return replace(_parsed(about, tensors), folder=path.absolute().parent)
        except (LookupError, ValueError, TypeError, RecursionError, ConfigError) as error:
            raise DataError(
                f"asked for the detector {path}, found a file that `decaf detect train` of this "
                f"version did not write ({error}); train it again"
            ) from error


def _parsed(about: Any, tensors: dict[str, torch.Tensor]) -> Detector:
    if not isinstance(about, dict) or about.get("kind") != _KIND:
        raise ValueError(f"it is no {_KIND}")
    if about.pop("sha256", None) != file_digest(about, tensors):
        raise ValueError("it is damaged: its values are not those that were written")
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise ValueError("it holds values that are not finite")
    names = tuple(map(str, about["class_names"]))
    weights, bias = tensors["svm.weight"].numpy(), tensors["svm.bias"].numpy()
    if weights.shape[0] != len(names) or bias.shape != (len(names),):
        raise ValueError("the SVMs do not fit the class names")
    regressions = tuple(
        BoxRegression(
            tensors[f"boxes.{number}.weight"].numpy(), tensors[f"boxes.{number}.offset"].numpy()
        )
        if f"boxes.{number}.weight" in tensors
        else None
        for number in range(len(names))
    )
    return Detector(
        **{name: str(about[name]) for name in _TEXTS},  # type: ignore[arg-type] # all are texts
        seed=int(about["seed"]),
        how=Detection(**about["how"]),
        class_names=names,
        scale=float(about["scale"]),
        svm_weights=weights,
        svm_bias=bias,
        regressions=regressions,
    )
