"""What every trained model says: the net that it was trained on, and how its file is made.

A model is one safetensors file. Under ``decaf`` in its metadata is a JSON object with all fields
that are no tensors.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor

from decaf._version import __version__
from decaf.backbones import TorchBackbone, load_backbone
from decaf.backbones.weights import Weights, file_sha256, state_sha256
from decaf.choices import Decoder, Precision, choices_of
from decaf.errors import BackboneError, ConfigError, DataError
from decaf.tensor_file import read_tensors, write_tensors
from decaf.types import PatchRule

_IN_JSON: dict[Any, Any] = {
    int: int,
    float: (int, float),
    bool: bool,
    tuple[str, ...]: list,
    PatchRule | None: (dict, type(None)),
}
"""What a field is in the file, by its type; a text if that is not here."""


@dataclass(frozen=True, eq=False)
class TrainedOnNet:
    """The net of a model, and what is read of it.

    Attributes
    ----------
    backbone, weights, weights_sha256 : str
        The net, where its weights came from, and their SHA-256 in hexadecimal.
    seed : int
        Seed of random weights.
    precision : str
        What the net computed in.
    layer, pool, decoder : str
        What is read of the net, by which decoder; see `decaf.extract`.
    class_names : tuple of str
        Names of the classes that the model tells apart.
    folder : pathlib.Path or None
        Where the file lies that the model was read from; not written.
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
    decoder: Decoder
    class_names: tuple[str, ...]
    folder: Path | None = field(default=None, kw_only=True)
    net: Mapping[str, Tensor] | None = field(default=None, kw_only=True)


Model = TypeVar("Model", bound=TrainedOnNet)


def write_model(path: Path, about: Mapping[str, Any], tensors: dict[str, Tensor]) -> None:
    """Write a model's file, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    about : mapping of str to object
        All that is no tensor.
    tensors : dict of str to torch.Tensor
        The rest.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    about = {"decaf_version": __version__, **about}
    about["sha256"] = _digest(about, tensors)
    write_tensors(path, tensors, {"decaf": json.dumps(about)})


def read_model(
    path: str | Path,
    parse: Callable[[dict[str, Any], dict[str, Tensor]], Model],
    *,
    what: str,
    command: str,
) -> Model:
    """Read a file that `write_model` wrote.

    Parameters
    ----------
    path : str or pathlib.Path
        The file.
    parse : callable
        Makes the model of what is in it; a `ValueError` says what is wrong with that.
    what, command : str
        What messages call the model, and what writes one.

    Raises
    ------
    DataError
        If it is missing, damaged, of another kind, or holds values that are not finite.
    """
    path = Path(path)
    found = read_tensors(path, f"the {what}", "give a trained one")
    if found is None:
        raise DataError(f"asked for the {what} {path}, found no such file; give a trained one")
    tensors, metadata = found
    try:
        about = _about(metadata["decaf"], tensors)
        return replace(parse(about, tensors), folder=path.absolute().parent)
    except (LookupError, ValueError, TypeError, RecursionError, ConfigError) as error:
        raise DataError(
            f"asked for the {what} {path}, found a file that `{command}` of this version did not "
            f"write ({error}); train it again"
        ) from error


def said_fields(model: TrainedOnNet, *but: str) -> dict[str, Any]:
    """Return the fields of a model as they are written, all but some."""
    return {name: getattr(model, name) for name in _field_types(type(model), but)}


def read_fields(model: type[TrainedOnNet], about: Mapping[str, Any], *but: str) -> dict[str, Any]:
    """Return the fields of a kind of models that `said_fields` gave, all but some.

    Raises
    ------
    LookupError
        If one is not there.
    ValueError
        If one has another type, or none of the words that it may have.
    """
    words = choices_of(model)  # type: ignore[arg-type] # every class is hashable
    values = {}
    for name, kind in _field_types(model, but).items():
        values[name] = value = about[name]
        if not isinstance(value, _IN_JSON.get(kind, str)) or value not in words.get(name, (value,)):
            raise ValueError(f"{name} is {value!r}")
    return values | {"class_names": tuple(map(str, values["class_names"]))}


def _field_types(model: type[TrainedOnNet], but: Collection[str]) -> dict[str, Any]:
    return {one.name: one.type for one in fields(model) if one.name not in ("folder", "net", *but)}


def _about(text: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    about = json.loads(text)
    if not isinstance(about, dict):
        raise ValueError("its metadata is no object")  # noqa: TRY004 - the file is malformed
    if about.get("sha256") not in (None, _digest(about, tensors)):  # models of old have none
        raise ValueError("it is damaged: its values are not those that were written")
    return about


def _digest(about: Mapping[str, Any], tensors: dict[str, Tensor]) -> str:
    """Return the SHA-256 of all that a model's file says but this, in hexadecimal."""
    values = state_sha256({name: tensors[name] for name in sorted(tensors)})
    said = {name: value for name, value in about.items() if name != "sha256"}
    text = json.dumps([said, values], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_net(
    model: TrainedOnNet,
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
    model : TrainedOnNet
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
        model.backbone,
        weights=weights or _carried(model) or _weights_of(model),
        device=device,
        precision=model.precision,
        runtime="auto",
        seed=model.seed,
        allow_code=allow_code,
    )
    if net.weights_sha256 != model.weights_sha256:
        raise BackboneError(f"{_trained_on(model)}, {_found(net.weights, net.weights_sha256)}")
    return net


def _carried(model: TrainedOnNet) -> Weights | None:
    """Return the weights that a model carries; the digest of its file has been checked."""
    if model.net is None:
        return None
    return Weights(model.weights, model.net, model.weights_sha256)


def _weights_of(model: TrainedOnNet) -> str:
    """Return the name of a model's weights, or where the file of them is now."""
    trained = Path(model.weights)
    if not trained.suffix:
        return model.weights
    places = dict.fromkeys((trained, (model.folder or Path()) / trained.name, Path(trained.name)))
    files = {place: file_sha256(place) for place in places if place.is_file()}
    for place, sha256 in files.items():
        if sha256 == model.weights_sha256:
            return str(place)
    if files:
        raise BackboneError(f"{_trained_on(model)}, {_found(*next(iter(files.items())))}")
    raise BackboneError(
        f"{_trained_on(model)}, found no such file; looked for "
        f"{', '.join(map(str, places))}; say with --weights where it is now"
    )


def _trained_on(model: TrainedOnNet) -> str:
    return (
        f"the model was trained on {model.backbone} with weights "
        f"{Path(model.weights).name} (sha256 {model.weights_sha256[:12]}...)"
    )


def _found(name: object, sha256: str) -> str:
    return (
        f"found {name} (sha256 {sha256[:12]}...); give those with --weights, or train the model "
        "again"
    )
