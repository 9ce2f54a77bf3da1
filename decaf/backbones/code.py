"""What a net computes, apart from its weights: its modules, their settings, and their source."""

import hashlib
import inspect
import sys
import sysconfig
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

_SIMPLE = (bool, int, float, str, type(None))
_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of packages: of this environment, the system's, the user's, or lent by another."""


def code_sha256(net: nn.Module) -> str:
    """Return the SHA-256 of all that a net computes with but its weights.

    That is the class and the settings of each module, and the source of classes that come from no
    installed package, with all that their files use of others of the kind. Installed packages have
    versions, which are recorded besides.

    Returns
    -------
    str
        64 hexadecimal digits. Where a source cannot be had, another one each time: features of
        such a net are never taken for those of another.
    """
    digest = hashlib.sha256()
    classes = set()
    for name, module in net.named_modules():
        kind = type(module)
        classes.add(kind)
        digest.update(f"{name} {kind.__module__}.{kind.__qualname__} ".encode())
        digest.update(f"({module.extra_repr()}) {_settings(module)}\n".encode())
    for source in sorted(_sources(classes)):
        digest.update(source.encode())
    return digest.hexdigest()


def _settings(module: nn.Module) -> list[tuple[str, Any]]:
    """Return a module's plain attributes, which `extra_repr` need not name."""
    own = vars(module).items()
    return sorted((k, v) for k, v in own if k[0] != "_" and k != "training" and _is_simple(v))


def _is_simple(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_simple, value))
    return isinstance(value, _SIMPLE)


def _sources(classes: set[type]) -> Iterator[str]:
    """Yield the source of each file that classes of the user's own come from or use."""
    seen: set[str] = set()
    for kind in classes:
        module = sys.modules.get(kind.__module__)
        if module is None or getattr(module, "__file__", None) is None:
            yield _source_of_class(kind)
        else:
            yield from _files(module, seen)


def _files(module: ModuleType, seen: set[str]) -> Iterator[str]:
    """Yield the source of a module, and of those of its kind that it uses."""
    path = getattr(module, "__file__", None)
    if path is None or module.__name__ in seen or _is_versioned(module, path):
        return
    seen.add(module.__name__)
    yield Path(path).read_text(errors="replace") if path.endswith(".py") else uuid.uuid4().hex
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else None
        used = sys.modules.get(str(name or getattr(value, "__module__", None)))
        if used is not None:
            yield from _files(used, seen)


def _is_versioned(module: ModuleType, path: str) -> bool:
    """Return whether a module belongs to Python, to decaf or to an installed package."""
    top = module.__name__.partition(".")[0]
    # of the package, as some modules, such as torch.ops, name a file that is not there
    file = getattr(sys.modules.get(top), "__file__", None) or path
    is_pythons = file.startswith(sysconfig.get_path("stdlib"))
    return top == "decaf" or is_pythons or not _INSTALLED.isdisjoint(Path(file).parts)


def _source_of_class(kind: type) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return uuid.uuid4().hex
