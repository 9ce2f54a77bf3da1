"""A trained classifier of pictures as one file: how pixels become features, and the head.

The file is safetensors: matrices ``head.N.weight`` and ``head.N.bias``, and under ``decaf`` in the
metadata a JSON object with every other field of :class:`Classifier`.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from scipy.special import expit, softmax

from decaf._version import __version__
from decaf.choices import Pixels, Precision, View
from decaf.errors import DataError
from decaf.protocols import pool_patches
from decaf.protocols.views import normalized
from decaf.tensor_file import read_tensors, write_tensors
from decaf.types import BACKGROUND, FloatArray, IntArray, PatchRule

SCHEMA_VERSION = 2


@dataclass(frozen=True, eq=False)
class Classifier:
    """Everything that turns a picture into probabilities, but for the net's own weights.

    Attributes
    ----------
    backbone, weights, weights_sha256 : str
        The net, where its weights came from, and their SHA-256 in hexadecimal.
    seed : int
        Seed of random weights.
    precision : str
        What the net computed in.
    layer, pool, view, pixels : str
        What is read of the net, of which view; see `decaf.extract`. Several crops are averaged.
    normalize : str
        ``none``, ``l2`` or ``signed-square``: what is done to a row of features.
    head : str
        Name of the head.
    patches : PatchRule or None
        With views of patches, which ones; the last class is then the background, and a picture's
        probability is the power mean of its patches'.
    patch_power : float
        The exponent of that mean.
    multilabel : bool
        Whether a picture may have several labels: sigmoids instead of a softmax.
    class_names : tuple of str
        One for each probability.
    layers : tuple of (numpy.ndarray, numpy.ndarray)
        Float32 weights ``(n_out, n_in)`` and biases ``(n_out,)``, with a ReLU between two.
    """

    backbone: str
    weights: str
    weights_sha256: str
    seed: int
    precision: Precision
    layer: str
    pool: str
    view: View
    pixels: Pixels
    normalize: Literal["none", "l2", "signed-square"]
    head: str
    patches: PatchRule | None
    patch_power: float
    multilabel: bool
    class_names: tuple[str, ...]
    layers: tuple[tuple[FloatArray, FloatArray], ...]

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        features : numpy.ndarray
            ``(n_images, n_features)`` as the net gives them.

        Returns
        -------
        numpy.ndarray
            ``(n_images, n_classes)``; rows sum to 1 unless a picture may have several labels.
        """
        X = normalized(np.asarray(features, np.float32), self.normalize)
        for number, (weight, bias) in enumerate(self.layers):
            X = (np.maximum(X, 0) if number else X) @ weight.T + bias
        result: FloatArray = expit(X) if self.multilabel else softmax(X, axis=1)
        return result

    @property
    def picture_classes(self) -> tuple[str, ...]:
        """Names of the classes that a picture may have."""
        has_background = self.patches is not None and self.class_names[-1] == BACKGROUND
        return self.class_names[:-1] if has_background else self.class_names

    def of_pictures(self, probabilities: FloatArray, counts: IntArray) -> FloatArray:
        """Return the probabilities of pictures from those of their patches.

        The mean of the k-th powers, as Oquab et al. (2014) score pictures, and its k-th root,
        which does not change the order.

        Parameters
        ----------
        probabilities : numpy.ndarray
            ``(n_patches, n_classes)``, picture after picture.
        counts : numpy.ndarray
            ``(n_images,)`` patches of each.

        Returns
        -------
        numpy.ndarray
            ``(n_images, len(picture_classes))``; nan where a patch has none.
        """
        y = probabilities[:, : len(self.picture_classes)]
        means = pool_patches(y, counts, power=self.patch_power)
        roots: FloatArray = means ** (1 / self.patch_power)
        return roots

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        settings = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "layers"}
        settings["patches"] = None if self.patches is None else asdict(self.patches)
        about = {"schema_version": SCHEMA_VERSION, "decaf_version": __version__, **settings}
        tensors = {}
        for number, (weight, bias) in enumerate(self.layers):
            tensors[f"head.{number}.weight"] = torch.from_numpy(weight.astype(np.float32))
            tensors[f"head.{number}.bias"] = torch.from_numpy(bias.astype(np.float32))
        write_tensors(path, tensors, {"decaf": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> "Classifier":
        """Read a file that `save` wrote.

        Raises
        ------
        DataError
            If it is missing, damaged, or of another kind.
        """
        found = read_tensors(path, "the model", "give a trained one")
        if found is None:
            raise DataError(f"asked for the model {path}, found no such file; give a trained one")
        tensors, metadata = found
        try:
            about = json.loads(metadata["decaf"])
            return _parsed(about, {name: tensor.numpy() for name, tensor in tensors.items()})
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(
                f"asked for the model {path}, found a file that `decaf train` of this version did "
                f"not write ({error}); train the model again"
            ) from error


def _parsed(about: dict[str, Any], tensors: dict[str, FloatArray]) -> Classifier:
    version = about.pop("schema_version")
    about.pop("decaf_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"schema {version}, not {SCHEMA_VERSION}")
    layers = tuple(
        (tensors[f"head.{i}.weight"], tensors[f"head.{i}.bias"]) for i in range(len(tensors) // 2)
    )
    if about["patches"] is not None:
        patches = about["patches"] | {"scales": tuple(about["patches"]["scales"])}
        about["patches"] = PatchRule(**patches)
    about["class_names"] = tuple(about["class_names"])
    if not layers or len(layers[-1][1]) != len(about["class_names"]):
        raise ValueError("the head does not fit the class names")
    return Classifier(layers=layers, **about)
