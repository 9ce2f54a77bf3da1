"""What a file of weights may hold, and the state dict in it."""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from decaf.errors import BackboneError, DecafError

StateDict = Mapping[str, torch.Tensor]

_PARTS = ("state_dict", "model_state_dict", "model", "net", "state_dict_ema", "model_ema")
"""Where training scripts put the state dict of a net in a checkpoint."""


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Say in decaf's words whatever a library raises about a file of weights.

    Raises
    ------
    BackboneError
        If the block raises anything but a `DecafError`.
    """
    try:
        yield
    except DecafError:
        raise
    except Exception as error:  # what parsers raise about damaged files has no common kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        msg = (
            f"cannot read weights from {path}: {reason}; the file is damaged or of another kind, "
            "get it again"
        )
        raise BackboneError(msg) from error


def torch_state(path: Path) -> StateDict:
    """Return the state dict of a file that ``torch.save`` wrote; nothing in it is run.

    Parameters
    ----------
    path : pathlib.Path
        It holds a state dict, or a dict with one under a name that training scripts use.

    Raises
    ------
    BackboneError
        If it holds something else.
    """
    _refuse_packed(path)
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own text advises to run what is in it
        raise BackboneError(
            f"asked for weights from {path}, found a damaged file, or more than tensors in it; "
            "save net.state_dict(), or get it again"
        ) from error
    while isinstance(found, Mapping) and not _is_state(found):
        part = next((part for part in _PARTS if isinstance(found.get(part), Mapping)), None)
        if part is None:
            break
        found = found[part]
    if not isinstance(found, Mapping) or not _is_state(found):
        held = ", ".join(map(str, found))[:200] if isinstance(found, Mapping) else ""
        msg = (
            f"{path} holds a {type(found).__name__}{' of ' if held else ''}{held}, not a state "
            "dict of tensors; save net.state_dict()"
        )
        raise BackboneError(msg)
    return found


def _is_state(found: Mapping[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in found.items())


def _refuse_packed(path: Path) -> None:
    """Refuse compressed archives, which torch never writes: small ones fill any memory."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
        if declared > path.stat().st_size:
            raise ValueError(f"it unpacks to {declared} bytes, more than it has")


def require_plain(state: StateDict, path: Path) -> None:
    """Refuse tensors that are not plain arrays of numbers.

    Raises
    ------
    BackboneError
        If one is sparse, quantised, complex, or without values (of the device ``meta``).
    """
    for key, value in state.items():
        kinds = {
            "without values (of the device meta)": value.is_meta,
            "sparse": value.layout != torch.strided,
            "quantised": value.is_quantized,
            "complex": value.is_complex(),
            "in 8 bits": value.is_floating_point() and value.element_size() == 1,
        }
        found = [kind for kind, holds in kinds.items() if holds]
        if found:
            raise BackboneError(
                f"asked for weights from {path}, found {key}, which is {found[0]}; save a plain "
                "tensor of floating-point numbers"
            )
