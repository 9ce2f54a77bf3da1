"""What tells results apart, as text: digests, and where a record departs from the standard one."""

import hashlib
from collections.abc import Collection
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.types import Split


def changes(used: Any, standard: Any, besides: Collection[str] = ()) -> str:
    """Return the fields in which a record departs from another: ``c_grid=0.1,1; seed=2``."""
    if type(used) is not type(standard):
        return str(used)
    told = []
    for one in fields(used):
        value, other = getattr(used, one.name), getattr(standard, one.name)
        if value == other or one.name in besides:
            continue
        if is_dataclass(value):
            text = f"({changes(value, other)})"
        else:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        told.append(f"{one.name}={text}")
    return "; ".join(told)


def digest_of(*parts: bytes | npt.NDArray[Any]) -> str:
    """Return a short digest of texts and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, bytes):
            digest.update(part)
        else:
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def split_digest(split: Split) -> str:
    """Return a short digest of a split's rows, and of its labels where it has its own."""
    inner = [rows for fold in split.inner for rows in fold]
    labels = [] if split.labels is None else [split.labels]
    return digest_of(split.train, split.test, *inner, *labels)
