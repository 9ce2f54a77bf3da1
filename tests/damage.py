"""Bytes as they are damaged: bits flipped, parts cut off, doubled, blanked or mixed up."""

from collections.abc import Iterator

import numpy as np


def damaged(data: bytes, n: int, seed: int = 0) -> Iterator[bytes]:
    """Yield `n` damaged copies, always the same ones."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        found = bytearray(data)
        start, end = np.sort(rng.integers(0, len(data) + 1, 2))
        match rng.integers(6):
            case 0:
                found = found[:start]
            case 1:
                found[start:end] = bytes(end - start)
            case 2:
                found[start:start] = found[start : start + 64]
            case 3:
                found[start:end] = rng.bytes(end - start)
            case _:  # most in the first and last bytes, where the structure is
                for _ in range(rng.integers(1, 9)):
                    edge = rng.integers(min(2000, len(data)))
                    place = [edge, -edge - 1, rng.integers(len(data))][rng.integers(3)]
                    found[place] ^= 1 << rng.integers(8)
        yield bytes(found)
