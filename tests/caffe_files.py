"""Caffe's protobuf messages, written by hand."""

from collections.abc import Sequence

import numpy as np

V1 = {"Convolution": 4, "InnerProduct": 14}


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(values: np.ndarray, version: int) -> bytes:
    data = field(5, values.astype("<f4").tobytes())
    if version == 2:
        return field(7, field(1, b"".join(varint(size) for size in values.shape))) + data
    shape = (1,) * (4 - values.ndim) + values.shape
    return b"".join(field(axis, size) for axis, size in enumerate(shape, 1)) + data


def layer(name: str, kind: str, blobs: Sequence[np.ndarray], version: int) -> bytes:
    data = [blob(values, version) for values in blobs]
    if version == 2:
        parts = [field(1, name.encode()), field(2, kind.encode()), *(field(7, b) for b in data)]
        return field(100, b"".join(parts))
    # the order of protobuf's own writer: by number, so blobs come after the type
    parts = [field(4, name.encode()), field(5, V1[kind]), *(field(6, b) for b in data)]
    return field(2, b"".join(parts))
