"""What decaf finds on this machine, and what is missing for what."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from decaf._version import __version__
from decaf.extras import EXTRAS, how_to_install
from decaf.machine import free_memory_bytes, n_cores, n_visible_cores

REQUIRED = (
    *("torch", "torchvision", "torchcodec", "onnx", "onnxruntime", "onnxscript", "safetensors"),
    *("numpy", "scipy", "scikit-learn", "pandas", "h5py", "pillow", "fsspec", "pooch"),
    *("matplotlib", "jinja2", "rich", "typer", "threadpoolctl"),
)
"""Packages that decaf does not run without."""

_LEAST_FREE_BYTES = 2**30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    topic : str
        What it belongs to.
    name : str
        What was looked at.
    found : str
        What was found.
    advice : str
        What to do; empty where nothing has to be done.
    needed : bool
        Whether decaf cannot do its work before that.
    """

    topic: str
    name: str
    found: str
    advice: str = ""
    needed: bool = False


def examine(
    data_root: str | Path = "data", features: str | Path = "features"
) -> tuple[Finding, ...]:
    """Look at versions, devices, extras, cores, memory, disks and folders; nothing is changed.

    Parameters
    ----------
    data_root : str or pathlib.Path
        Folder that holds the named data sets.
    features : str or pathlib.Path
        Folder of the stores.

    Returns
    -------
    tuple of Finding
        By topic.
    """
    return (*_versions(), *_machine(), *_extras(), *_folders(Path(data_root), Path(features)))


def _versions() -> Iterator[Finding]:
    topic = "versions"
    yield Finding(topic, "decaf", f"{__version__}, in {Path(__file__).parent}")
    yield Finding(topic, "Python", f"{platform.python_version()}, {sys.executable}")
    yield Finding(topic, "system", platform.platform(terse=True) + f", {platform.machine()}")
    if os.name != "posix":
        yield Finding(
            topic, "POSIX", "not here", "use Linux, macOS, or WSL on Windows", needed=True
        )
    for name in REQUIRED:
        try:
            yield Finding(topic, name, version(name))
        except PackageNotFoundError:
            yield Finding(topic, name, "missing", f"pip install {name}", needed=True)


def _machine() -> Iterator[Finding]:
    topic, usable, visible = "machine", n_cores(), n_visible_cores()
    less = f" of {visible}, by a quota" if usable < visible else ""
    yield Finding(topic, "cores", f"{usable}{less}")
    memory = free_memory_bytes()
    yield Finding(topic, "free memory", "not said by the system" if memory is None else _gb(memory))
    yield Finding(topic, "GPU", _gpus())


def _gpus() -> str:
    if find_spec("torch") is None:
        return "not looked for, as torch is missing"
    import torch  # noqa: PLC0415 - it may be missing

    if not torch.cuda.is_available():
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
        return f"none that torch can use (it is {built}); --device cpu is used"
    properties = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return "; ".join(f"{one.name}, {_gb(one.total_memory)}" for one in properties)


def _extras() -> Iterator[Finding]:
    for name, extra in EXTRAS.items():
        missing = [module for module in extra.modules if find_spec(module) is None]
        found = f"missing: {', '.join(missing)}" if missing else "installed"
        how = f"for {extra.brings} ({extra.size}): {how_to_install(name)}"
        advice = how if missing else ""
        yield Finding("extras", name, found, advice)


def _folders(data_root: Path, features: Path) -> Iterator[Finding]:
    named = {"results": Path("results"), "stores": features, "data sets": data_root}
    if find_spec("torch") is not None:
        from decaf.backbones.onnx_net import onnx_folder  # noqa: PLC0415 - torch may be missing
        from decaf.backbones.weights import cache_folder  # noqa: PLC0415 - loads torch

        named |= {"weights of nets": cache_folder(), "exported nets": onnx_folder()}
    for name, folder in named.items():
        yield _folder(name, folder.absolute())


def _folder(name: str, folder: Path) -> Finding:
    """Say whether a folder can be written to, and how much room there is."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    found = f"{folder}{'' if there == folder else ', not there yet'}"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return Finding("folders", name, found, f"give the right to write to {there}", needed=True)
    free = shutil.disk_usage(there).free
    advice = "free some room" if free < _LEAST_FREE_BYTES else ""
    return Finding("folders", name, f"{found}, {_gb(free)} free", advice)


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
