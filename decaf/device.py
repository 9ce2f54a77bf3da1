"""Which device computes: one answer for nets and heads."""

import re

import torch

from decaf.errors import ConfigError

KINDS = "auto, cpu, cuda, cuda:N, cuda:all"


def find_device(device: str) -> torch.device:
    """Return the device that a name means, the first GPU for ``cuda:all``.

    Raises
    ------
    ConfigError
        If the name is unknown, or there is no such device here.
    """
    return find_devices(device)[0]


def find_devices(device: str) -> list[torch.device]:
    """Return the devices that a name means.

    Parameters
    ----------
    device : str
        ``auto`` (a GPU where there is one, else the CPU), ``cpu``, ``cuda``, ``cuda:N`` (GPU
        number N, from 0), or ``cuda:all`` (every GPU of the machine).

    Raises
    ------
    ConfigError
        If the name is unknown, or there is no such device here.
    """
    if device == "cpu":
        return [torch.device("cpu")]
    number = re.fullmatch(r"auto|cuda(?::(all|\d{1,4}))?", str(device), re.ASCII)
    if number is None:
        raise ConfigError(f"unknown device {device!r}; choose one of: {KINDS}")
    if not torch.cuda.is_available():
        if device == "auto":
            return [torch.device("cpu")]
        raise ConfigError(
            f"asked for device {device!r}; torch finds no GPU here; choose --device cpu"
        )
    n_gpus = torch.cuda.device_count()
    if number[1] is None:
        return [torch.device("cuda")]
    if number[1] == "all":
        return [torch.device("cuda", index) for index in range(n_gpus)]
    index = int(number[1])
    if index >= n_gpus:
        raise ConfigError(
            f"asked for device {device!r}; found {n_gpus} GPUs here, which are numbered from 0"
        )
    return [torch.device("cuda", index)]
