"""Where heads compute."""

import torch

from decaf.errors import ConfigError


def resolve_device(device: str) -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    device : str
        ``"auto"`` (CUDA where there is one, else the CPU), ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    torch.device
        The device.

    Raises
    ------
    ConfigError
        If the name is unknown or there is no CUDA device.
    """
    if device not in {"auto", "cpu", "cuda"}:
        raise ConfigError(f"unknown device {device!r}; choose one of: auto, cpu, cuda")
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise ConfigError("device 'cuda' asked for, no CUDA device found; use 'cpu' or 'auto'")
    return torch.device("cuda" if cuda and device != "cpu" else "cpu")
