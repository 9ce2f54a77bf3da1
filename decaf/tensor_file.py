"""Tensors in one safetensors file that is written whole or not at all."""

from pathlib import Path

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from decaf.errors import DataError


def write_tensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file; a stop in the middle leaves the one that was there.

    Parameters
    ----------
    path : pathlib.Path
        The file; folders are made.
    tensors : dict of str to torch.Tensor
        On any device.
    metadata : dict of str to str
        What stands beside them.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # copies: tensors that share memory, as tied weights do, are refused otherwise
        whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        save_file(whole, part, metadata)
        part.replace(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(
            f"asked to write {path}: {error}; free space there, or give another path"
        ) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return the tensors and the metadata of a file, or None where there is none.

    Raises
    ------
    DataError
        If it is damaged, or cannot be read.
    """
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            # the file is no mapping, so its keys have to be asked for
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(
            f"asked to go on from {path}, which is damaged ({error}); delete it and run again"
        ) from error


def group(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors named ``<name>.<rest>`` by the rest of their names."""
    start = f"{name}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
