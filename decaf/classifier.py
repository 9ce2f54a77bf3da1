"""A trained classifier of images as one file: how pixels become features, and the head.

The file is safetensors: matrices ``head.N.weight`` and ``head.N.bias``, the net's weights as
``net.NAME`` where it carries them, and under ``decaf`` in the metadata a JSON object with every
other field of :class:`Classifier`.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from decaf.choices import ViewName, choices_of
from decaf.protocols import pool_patches
from decaf.rowwise import normalized, probabilities
from decaf.tensor_file import group
from decaf.trained_net import (
    TrainedOnNet,
    load_net,
    read_fields,
    read_model,
    said_fields,
    write_model,
)
from decaf.types import BACKGROUND, FloatArray, IntArray, PatchRule

SCHEMA_VERSION = 2
_NET = "net."


@dataclass(frozen=True, eq=False)
class Classifier(TrainedOnNet):
    """Everything that turns an image into probabilities; the net's weights with it or elsewhere.

    Beside `TrainedOnNet`'s fields it has these; each of the class names is of one probability.

    Attributes
    ----------
    view : str
        What the net is shown of an image; see `decaf.extract`. Several crops are averaged.
    normalize : str
        ``none``, ``l2`` or ``signed-square``: what is done to a row of features.
    head : str
        Name of the head.
    patches : PatchRule or None
        With views of patches, which ones; the last class is then the background, and an image's
        probability is the power mean of its patches'.
    patch_power : float
        The exponent of that mean.
    multilabel : bool
        Whether an image may have several labels: sigmoids instead of a softmax.
    layers : tuple of (numpy.ndarray, numpy.ndarray)
        Float32 weights ``(n_out, n_in)`` and biases ``(n_out,)``, with a ReLU between two.
    """

    view: ViewName
    normalize: Literal["none", "l2", "signed-square"]
    head: str
    patches: PatchRule | None
    patch_power: float
    multilabel: bool
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
            ``(n_images, n_classes)``; rows sum to 1 unless an image may have several labels.
        """
        X: FloatArray = normalized(np.asarray(features, np.float32), self.normalize)
        for number, (weight, bias) in enumerate(self.layers):
            X = (np.maximum(X, 0) if number else X) @ weight.T + bias
        return probabilities(X, exclusive=not self.multilabel)

    @property
    def image_classes(self) -> tuple[str, ...]:
        """Names of the classes that an image may have."""
        has_background = self.patches is not None and self.class_names[-1] == BACKGROUND
        return self.class_names[:-1] if has_background else self.class_names

    def of_images(self, probabilities: FloatArray, counts: IntArray) -> FloatArray:
        """Return the probabilities of images from those of their patches.

        The mean of the k-th powers, as Oquab et al. (2014) score images, and its k-th root,
        which does not change the order.

        Parameters
        ----------
        probabilities : numpy.ndarray
            ``(n_patches, n_classes)``, image after image.
        counts : numpy.ndarray
            ``(n_images,)`` patches of each.

        Returns
        -------
        numpy.ndarray
            ``(n_images, len(image_classes))``; nan where a patch has none.
        """
        y = probabilities[:, : len(self.image_classes)]
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
        about = said_fields(self, "patches", "layers") | {"schema_version": SCHEMA_VERSION}
        about["patches"] = None if self.patches is None else asdict(self.patches)
        tensors = {}
        for number, (weight, bias) in enumerate(self.layers):
            tensors[f"head.{number}.weight"] = torch.from_numpy(weight.astype(np.float32))
            tensors[f"head.{number}.bias"] = torch.from_numpy(bias.astype(np.float32))
        tensors |= {f"{_NET}{name}": value for name, value in (self.net or {}).items()}
        write_model(path, about, tensors)

    @classmethod
    def load(cls, path: str | Path) -> "Classifier":
        """Read a file that `save` wrote.

        Raises
        ------
        DataError
            If it is missing, damaged, of another kind, or holds values that are not finite.
        """
        return read_model(path, _parsed, what="model", command="decaf train")


def _parsed(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Classifier:
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"it is not of schema {SCHEMA_VERSION}")
    about.setdefault("decoder", about.get("pixels"))  # its name in models of earlier versions
    values = read_fields(Classifier, about, "layers")
    if values["patches"] is not None:
        # older files also name the share of background patches, which only training used
        found = {name: values["patches"][name] for name in vars(PatchRule())}
        rule = PatchRule(**found | {"scales": tuple(found["scales"])})
        if rule.edges not in choices_of(PatchRule)["edges"] or not all(s > 0 for s in rule.scales):
            raise ValueError(f"patches is {rule}")
        values["patches"] = rule
    net = group(tensors, "net")
    head = {name: value for name, value in tensors.items() if not name.startswith(_NET)}
    layers = _layers(head, len(values["class_names"]))
    return Classifier(layers=layers, net=net or None, **values)


def save_with_net(
    classifier: Classifier, path: Path, *, weights: str | None = None, allow_code: bool = False
) -> None:
    """Write a model with the weights of its net, so that another machine needs this file alone.

    Parameters
    ----------
    classifier : Classifier
        The model.
    path : pathlib.Path
        The file.
    weights : str, optional
        Where its net's weights are now.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called; whoever reads
        the file needs its code too.

    Raises
    ------
    BackboneError
        If the net cannot be had, or its weights are others.
    DataError
        If the file cannot be written.
    """
    net = load_net(classifier, weights=weights, device="cpu", allow_code=allow_code)
    replace(classifier, net=net.state_for(classifier.layer)).save(path)


def _layers(
    tensors: dict[str, torch.Tensor], n_classes: int
) -> tuple[tuple[FloatArray, FloatArray], ...]:
    """Return the head's layers, of which each takes what the one before it gives."""
    found: list[tuple[FloatArray, FloatArray]] = []
    for number in range(len(tensors) // 2):
        weight, bias = (tensors[f"head.{number}.{part}"] for part in ("weight", "bias"))
        n_in = len(found[-1][1]) if found else weight.shape[-1]
        if bias.ndim != 1 or weight.shape != (len(bias), n_in) or weight.dtype != torch.float32:
            raise ValueError(f"layer {number} of the head does not fit the others")
        if not (weight.isfinite().all() and bias.isfinite().all()):
            raise ValueError(f"layer {number} of the head holds values that are not finite")
        found.append((weight.numpy(), bias.float().numpy()))
    if not found or len(found[-1][1]) != n_classes:
        raise ValueError("the head does not fit the class names")
    return tuple(found)
