"""Reads the weights in a .caffemodel: Caffe's protobuf messages, without Caffe or pickle.

The fields are those of ``caffe.proto``: a ``NetParameter`` holds ``V1LayerParameter`` messages in
field 2 (files before 2014-12) or ``LayerParameter`` messages in field 100, these hold blobs.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from decaf.errors import BackboneError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_SHAPE, _DIMS, _LEGACY_DIMS = 7, 1, (1, 2, 3, 4)
_DATA, _DOUBLE_DATA = 5, 8


@dataclass(frozen=True)
class _Version:
    """Field numbers of one kind of layer message, and its code for fully connected layers."""

    layer: int
    name: int
    type: int
    blobs: int
    inner_product: int | bytes


_VERSIONS = (
    _Version(layer=2, name=4, type=5, blobs=6, inner_product=14),
    _Version(layer=100, name=1, type=2, blobs=7, inner_product=b"InnerProduct"),
)


def read_caffemodel(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights in a Caffe model.

    Parameters
    ----------
    path : pathlib.Path
        A binary ``NetParameter``.

    Returns
    -------
    dict of str to torch.Tensor
        ``LAYER.weight`` and ``LAYER.bias``, with dots for the slashes of Caffe's names.

    Raises
    ------
    BackboneError
        If the file is damaged, or holds no weights.
    """
    state: dict[str, torch.Tensor] = {}
    try:
        for number, value in _fields(memoryview(path.read_bytes())):
            for version in _VERSIONS:
                if number == version.layer and isinstance(value, memoryview):
                    state |= _layer(value, version)
    except (ValueError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise BackboneError(
            f"cannot read weights from {path}: damaged, or no Caffe model ({error}); "
            "fetch the file again"
        ) from error
    if not state:
        raise BackboneError(
            f"asked for weights from {path}; it holds no layers with weights; "
            "give a trained .caffemodel"
        )
    return state


def _layer(message: memoryview, version: _Version) -> dict[str, torch.Tensor]:
    name, kind, blobs = "", None, []
    for number, value in _fields(message):
        if number == version.name:
            name = bytes(_message(value)).decode().replace("/", ".")
        elif number == version.type:
            kind = bytes(value) if isinstance(value, memoryview) else value
        elif number == version.blobs:
            blobs.append(_blob(_message(value)))
    state: dict[str, torch.Tensor] = {}
    for part, blob in zip(("weight", "bias"), blobs, strict=False):
        # old files give all blobs four axes, leading ones of 1
        flat = part == "bias" or kind == version.inner_product
        shape = ((-1,) if part == "bias" else (-1, blob.shape[-1])) if flat else blob.shape
        state[f"{name}.{part}"] = torch.from_numpy(blob.reshape(shape).astype(np.float32))
    return state


def _blob(message: memoryview) -> npt.NDArray[np.floating]:
    shape: list[int] = []
    legacy = dict.fromkeys(_LEGACY_DIMS, 1)
    chunks: list[npt.NDArray[np.floating]] = []
    for number, value in _fields(message):
        if number in (_DATA, _DOUBLE_DATA):
            # packed, or one value a field as old writers do
            kind = "<f4" if number == _DATA else "<f8"
            chunks.append(np.frombuffer(_message(value), kind))
        elif number == _SHAPE:
            for field, dims in _fields(_message(value)):
                if field == _DIMS:
                    shape += [dims] if isinstance(dims, int) else _varints(dims)
        elif number in legacy and isinstance(value, int):
            legacy[number] = value
    shape = shape or list(legacy.values())
    values = np.concatenate(chunks) if chunks else np.empty(0, "<f4")
    if values.size != math.prod(shape):
        raise ValueError(f"{values.size} values for a blob of shape {tuple(shape)}")
    return values.reshape(shape)


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message should be")  # noqa: TRY004 - the file is malformed, no argument
    return value


def _varints(data: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(data):
        number, at = _varint(data, at)
        numbers.append(number)
    return numbers


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("a number longer than 64 bits")


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: a number, or the bytes of anything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(f"unknown wire type {wire}")
        if at + size > len(data):
            raise ValueError("it ends too early")
        yield key >> 3, data[at : at + size]
        at += size
