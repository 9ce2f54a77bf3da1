"""Where a net's weights come from: published files, local files, or a seed."""

import hashlib
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import safetensors.torch
import torch
from torchvision.models import WeightsEnum

from decaf.backbones.caffemodel import read_caffemodel
from decaf.backbones.checkpoints import StateDict, read_errors, require_plain, torch_state
from decaf.backbones.onnx_file import read_onnx
from decaf.errors import BackboneError

_NETWORK_TIMEOUT_S = 20


@dataclass(frozen=True)
class Weights:
    """A net's parameters and what identifies them.

    Attributes
    ----------
    label : str
        What results call them: ``imagenet``, ``random``, or a file's name.
    state : mapping of str to torch.Tensor
        The state dict.
    sha256 : str
        SHA-256 of the file, or of the parameters' bytes for random weights; hexadecimal.
    """

    label: str
    state: StateDict
    sha256: str


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_sha256(state: StateDict) -> str:
    """Return the SHA-256 of a state dict's names and values in hexadecimal."""
    digest = hashlib.sha256()
    for key, value in state.items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


@contextmanager
def _network_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def cache_folder() -> Path:
    """Return the folder for published weights: torch's own."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def published_weights(label: str, entry: WeightsEnum) -> Weights:
    """Return weights that torchvision publishes, from torch's cache or the network.

    Raises
    ------
    BackboneError
        If they are not in the cache and cannot be fetched, or the file is damaged.
    """
    cached = cache_folder() / Path(entry.url).name
    prefix = re.search(r"-([0-9a-f]{8,})\.pth$", cached.name)
    if not cached.is_file():
        _fetch(entry.url, cached, f"the weights {entry}")
    sha256 = file_sha256(cached)
    if prefix and not sha256.startswith(prefix[1]):
        raise _damaged(cached, f"its sha256 is {sha256}")
    with read_errors(cached):
        return Weights(label, torch_state(cached), sha256)


def file_weights(names: Sequence[str], url: str, sha1: str) -> Weights:
    """Return published weights from the first of some files that is in the cache.

    Parameters
    ----------
    names : sequence of str
        Names of files with the same weights; the first is fetched where none is there.
    url : str
        Where the first file is, or nothing where it is to be had by hand only.
    sha1 : str
        Published SHA-1 of the first file, or nothing.

    Raises
    ------
    BackboneError
        If no file is there and none can be fetched, or it is damaged.
    """
    places = [cache_folder() / name for name in names]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        if not url:
            msg = (
                f"asked for the weights {names[0]}; they have no lasting address; put "
                f"{' or '.join(names)} into {cache_folder()}"
            )
            raise BackboneError(msg)
        found = places[0]
        _fetch(url, found, f"the weights {names[0]}")
    if sha1 and found.name == names[0]:
        with found.open("rb") as file:
            digest = hashlib.file_digest(file, "sha1").hexdigest()
        if digest != sha1:
            raise _damaged(found, f"its sha1 is {digest}, published {sha1}")
    return replace(local_weights(found), label="imagenet")


def _fetch(url: str, to: Path, what: str) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    prefix = re.search(r"-([0-9a-f]{8,})\.pth$", to.name)
    try:
        with _network_timeout():
            torch.hub.download_url_to_file(
                url, str(to), prefix[1] if prefix else None, progress=False
            )
    except (OSError, RuntimeError) as error:
        msg = (
            f"asked for {what}; they are not in {to} and cannot be fetched ({error}); "
            f"put {url} there, or give a file that holds them with --weights"
        )
        raise BackboneError(msg) from error


def _damaged(path: Path, why: str) -> BackboneError:
    return BackboneError(f"{path} is damaged: {why}; delete the file and run again")


def local_weights(path: Path) -> Weights:
    """Return weights from a file; nothing in it is run.

    Parameters
    ----------
    path : pathlib.Path
        A ``.safetensors``, ``.onnx`` or ``.caffemodel`` file, or a ``.pth``, ``.pt`` or
        ``.pth.tar`` of tensors alone.

    Raises
    ------
    BackboneError
        If the file is missing, damaged, of another kind, or holds more than plain tensors.
    """
    if not path.is_file():
        found = "no regular file" if path.exists() else "no such file"
        msg = f"asked for weights from {path}, found {found}; give where it lies as weights"
        raise BackboneError(msg)
    if path.suffix not in _READERS:
        msg = f"asked for weights from {path}; give a {', '.join(_READERS)} file"
        raise BackboneError(msg)
    with read_errors(path):
        state = _READERS[path.suffix](path)
        require_plain(state, path)
        return Weights(path.name, state, file_sha256(path))


_READERS: dict[str, Callable[[Path], StateDict]] = {
    ".safetensors": safetensors.torch.load_file,
    ".pth": torch_state,
    ".pt": torch_state,
    ".onnx": read_onnx,
    ".caffemodel": read_caffemodel,
    ".tar": torch_state,  # .pth.tar
}
