"""Tensors in one safetensors file that is written whole or not at all."""

from pathlib import Path

import safetensors
from safetensors.torch import save_file
from torch import Tensor

from decaf.errors import DataError
from decaf.whole_files import whole_file


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
    # copies: tensors that share memory, as tied weights do, are refused otherwise
    whole = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    with whole_file(path) as part:
        try:
            save_file(whole, part, metadata)
        except safetensors.SafetensorError as error:  # it wraps the system's errors
            raise OSError(str(error)) from error


def read_tensors(
    path: Path, what: str = "the checkpoint", advice: str = "delete it and run again"
) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """Return the tensors and the metadata of a file, or None where there is none.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    what, advice : str
        What a message calls it, and tells to do about a damaged one.

    Returns
    -------
    tuple of (dict, dict) or None
        Tensors and texts by their names.

    Raises
    ------
    DataError
        If it is damaged, or cannot be read.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise DataError(f"asked for {what} {path}, found no regular file; {advice}")
    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118 - no mapping
            return tensors, file.metadata() or {}
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"asked for {what} {path}, which is damaged ({error}); {advice}") from error


def group(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors named ``<name>.<rest>`` by the rest of their names."""
    start = f"{name}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
