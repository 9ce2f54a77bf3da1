"""The net that a model was trained on, with the same weights."""

from dataclasses import replace
from pathlib import Path
from typing import Protocol

from decaf.backbones import TorchBackbone, load_backbone
from decaf.backbones.weights import Weights, file_sha256
from decaf.choices import Precision
from decaf.classifier import Classifier
from decaf.errors import BackboneError


class TrainedOnNet(Protocol):
    """A model that says which net it was trained on; see `Classifier`."""

    @property
    def backbone(self) -> str:
        """The net."""

    @property
    def weights(self) -> str:
        """Where its weights came from."""

    @property
    def weights_sha256(self) -> str:
        """Their SHA-256 in hexadecimal."""

    @property
    def seed(self) -> int:
        """Seed of random weights."""

    @property
    def precision(self) -> Precision:
        """What the net computed in."""

    @property
    def folder(self) -> Path | None:
        """Where the model's file lies."""


def load_net(
    classifier: TrainedOnNet,
    *,
    weights: str | None = None,
    device: str = "auto",
    allow_code: bool = False,
) -> TorchBackbone:
    """Return the net of a model, with the weights that it was trained on.

    They are in the model itself, or a file of them is looked for where it was in training, beside
    the model, and in the working directory.

    Parameters
    ----------
    classifier : TrainedOnNet
        The model.
    weights : str, optional
        Where its net's weights are now.
    device : str
        Where the net is put.
    allow_code : bool
        Whether a backbone ``package.module:function`` may be imported and called.

    Raises
    ------
    BackboneError
        If the net cannot be had, or its weights are others.
    """
    net = load_backbone(
        classifier.backbone,
        weights=weights or _carried(classifier) or _weights_of(classifier),
        device=device,
        precision=classifier.precision,
        runtime="auto",
        seed=classifier.seed,
        allow_code=allow_code,
    )
    if net.weights_sha256 != classifier.weights_sha256:
        raise BackboneError(f"{_trained_on(classifier)}, {_found(net.weights, net.weights_sha256)}")
    return net


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


def _carried(classifier: TrainedOnNet) -> Weights | None:
    """Return the weights that a model carries; the digest of its file has been checked."""
    if not isinstance(classifier, Classifier) or classifier.net is None:
        return None
    return Weights(classifier.weights, classifier.net, classifier.weights_sha256)


def _weights_of(classifier: TrainedOnNet) -> str:
    """Return the name of a model's weights, or where the file of them is now."""
    trained = Path(classifier.weights)
    if not trained.suffix:
        return classifier.weights
    places = dict.fromkeys(
        (trained, (classifier.folder or Path()) / trained.name, Path(trained.name))
    )
    files = {place: file_sha256(place) for place in places if place.is_file()}
    for place, sha256 in files.items():
        if sha256 == classifier.weights_sha256:
            return str(place)
    if files:
        raise BackboneError(f"{_trained_on(classifier)}, {_found(*next(iter(files.items())))}")
    raise BackboneError(
        f"{_trained_on(classifier)}, found no such file; looked for "
        f"{', '.join(map(str, places))}; say with --weights where it is now"
    )


def _trained_on(classifier: TrainedOnNet) -> str:
    return (
        f"the model was trained on {classifier.backbone} with weights "
        f"{Path(classifier.weights).name} (sha256 {classifier.weights_sha256[:12]}...)"
    )


def _found(name: object, sha256: str) -> str:
    return (
        f"found {name} (sha256 {sha256[:12]}...); give those with --weights, or train the model "
        "again"
    )
