"""A trained classifier of images as one file: how pixels become features, and the head.

The file is safetensors: matrices ``head.N.weight`` and ``head.N.bias``, the net's weights as
``net.NAME`` where it carries them, and under ``decaf`` in the metadata a JSON object with every
other field of :class:`Classifier`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from decaf._version import __version__
from decaf.backbones.weights import state_sha256
from decaf.choices import Decoder, Precision, ViewName, choices_of
from decaf.errors import DataError
from decaf.protocols import pool_patches
from decaf.rowwise import normalized, probabilities
from decaf.tensor_file import group, read_tensors, write_tensors
from decaf.types import BACKGROUND, FloatArray, IntArray, PatchRule

SCHEMA_VERSION = 2
_NET = "net."
_IN_JSON: dict[Any, Any] = {
    int: int,
    float: (int, float),
    bool: bool,
    tuple[str, ...]: list,
    PatchRule | None: (dict, type(None)),
}
"""What a field is in the file, by its type; a text if that is not here."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """Everything that turns an image into probabilities; the net's weights with it or elsewhere.

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
        With views of patches, which ones; the last class is then the background, and an image's
        probability is the power mean of its patches'.
    patch_power : float
        The exponent of that mean.
    multilabel : bool
        Whether an image may have several labels: sigmoids instead of a softmax.
    class_names : tuple of str
        One for each probability.
    layers : tuple of (numpy.ndarray, numpy.ndarray)
        Float32 weights ``(n_out, n_in)`` and biases ``(n_out,)``, with a ReLU between two.
    folder : pathlib.Path or None
        Where the file lies that it was read from; not written.
    net : mapping of str to torch.Tensor, optional
        Weights of the net, as far as the layer needs them; None where they are elsewhere.
    """

    backbone: str
    weights: str
    weights_sha256: str
    seed: int
    precision: Precision
    layer: str
    pool: str
    view: ViewName
    decoder: Decoder
    normalize: Literal["none", "l2", "signed-square"]
    head: str
    patches: PatchRule | None
    patch_power: float
    multilabel: bool
    class_names: tuple[str, ...]
    layers: tuple[tuple[FloatArray, FloatArray], ...]
    folder: Path | None = None
    net: Mapping[str, torch.Tensor] | None = None

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
        settings = {name: getattr(self, name) for name in _SETTINGS}
        settings["patches"] = None if self.patches is None else asdict(self.patches)
        about = {"schema_version": SCHEMA_VERSION, "decaf_version": __version__, **settings}
        tensors = {}
        for number, (weight, bias) in enumerate(self.layers):
            tensors[f"head.{number}.weight"] = torch.from_numpy(weight.astype(np.float32))
            tensors[f"head.{number}.bias"] = torch.from_numpy(bias.astype(np.float32))
        tensors |= {f"{_NET}{name}": value for name, value in (self.net or {}).items()}
        about["sha256"] = file_digest(about, tensors)
        write_tensors(path, tensors, {"decaf": json.dumps(about)})

    @classmethod
    def load(cls, path: Path) -> "Classifier":
        """Read a file that `save` wrote.

        Raises
        ------
        DataError
            If it is missing, damaged, of another kind, or holds values that are not finite.
        """
        found = read_tensors(path, "the model", "give a trained one")
        if found is None:
            raise DataError(f"asked for the model {path}, found no such file; give a trained one")
        tensors, metadata = found
        try:
            about = json.loads(metadata["decaf"])
            return replace(_parsed(about, tensors), folder=path.absolute().parent)
        except (LookupError, ValueError, TypeError, RecursionError) as error:
            raise DataError(
                f"asked for the model {path}, found a file that `decaf train` of this version did "
                f"not write ({error}); train the model again"
            ) from error


_SETTINGS = {
    field.name: _IN_JSON.get(field.type, str)
    for field in fields(Classifier)
    if field.name not in ("layers", "folder", "net")
}
"""The fields that are written as JSON, and of what type they are there."""


def _parsed(about: Any, tensors: dict[str, torch.Tensor]) -> Classifier:
    if not isinstance(about, dict) or about.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"it is not of schema {SCHEMA_VERSION}")
    sha256 = about.pop("sha256", None)  # which models of earlier versions do not have
    if sha256 not in (None, file_digest(about, tensors)):
        raise ValueError("it is damaged: its values are not those that were written")
    about.setdefault("decoder", about.get("pixels"))  # its name in models of earlier versions
    values = {name: about[name] for name in _SETTINGS}
    for name, kind in _SETTINGS.items():
        if not isinstance(values[name], kind):
            raise ValueError(f"{name} is {values[name]!r}")  # noqa: TRY004 - the file is malformed, no argument
    for name, choices in choices_of(Classifier).items():
        if values[name] not in choices:
            raise ValueError(f"{name} is {values[name]!r}")
    if values["patches"] is not None:
        # older files also name the share of background patches, which only training used
        found = {name: values["patches"][name] for name in vars(PatchRule())}
        rule = PatchRule(**found | {"scales": tuple(found["scales"])})
        if rule.edges not in choices_of(PatchRule)["edges"] or not all(s > 0 for s in rule.scales):
            raise ValueError(f"patches is {rule}")
        values["patches"] = rule
    values["class_names"] = tuple(map(str, values["class_names"]))
    net = group(tensors, "net")
    head = {name: value for name, value in tensors.items() if not name.startswith(_NET)}
    layers = _layers(head, len(values["class_names"]))
    return Classifier(layers=layers, net=net or None, **values)


def file_digest(about: dict[str, Any], tensors: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of all that a model's file says but this, in hexadecimal."""
    values = state_sha256({name: tensors[name] for name in sorted(tensors)})
    text = json.dumps([about, values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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
