"""Many names in little memory."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from decaf.types import ImageDataset, IntArray

_AT_ONCE = 2**16


class Names(Sequence[str]):
    """A sequence of names that takes their bytes and eight more for each.

    A tuple of strings takes some 70 bytes for each besides, which is a lot of memory for a table
    of a million images. Equal to any sequence of the same names.

    Parameters
    ----------
    names : collection of str
        Any; one very long name costs no more than its own bytes.

    Attributes
    ----------
    ends : numpy.ndarray
        ``(n + 1,)`` int64: 0, then the end of each name in the bytes of all.

    Raises
    ------
    UnicodeEncodeError
        If a name cannot be written as UTF-8.
    """

    ends: IntArray
    _bytes: bytes

    def __init__(self, names: Collection[str]) -> None:
        if isinstance(names, Names):
            self._bytes, self.ends = names._bytes, names.ends
            return
        joined = bytearray()
        self.ends = np.zeros(len(names) + 1, np.int64)
        for place, name in enumerate(names, 1):
            joined += name.encode()
            self.ends[place] = len(joined)
        self._bytes = bytes(joined)

    @classmethod
    def joined(cls, parts: Iterable["Names"]) -> Self:
        """Return the names of all parts, part after part."""
        parts = list(parts)
        sizes = [np.zeros(1, np.int64), *(np.diff(part.ends) for part in parts)]
        return cls._of(b"".join(part._bytes for part in parts), np.cumsum(np.concatenate(sizes)))

    @classmethod
    def _of(cls, all_bytes: bytes, ends: IntArray) -> Self:
        names = cls(())
        names._bytes, names.ends = all_bytes, ends
        return names

    @property
    def encoded(self) -> npt.NDArray[np.bytes_]:
        """The names in UTF-8, ``(n,)`` of a dtype ``S`` as wide as the longest: made anew."""
        return np.fromiter(self._each(), f"S{self.longest}", len(self))

    @property
    def longest(self) -> int:
        """Bytes of the longest name, 1 at least."""
        return int(np.diff(self.ends).max(initial=1))

    def take(self, rows: IntArray) -> "Names":
        """Return the names at some places."""
        rows = np.arange(len(self))[rows]
        taken = bytearray()
        for first in range(0, len(rows), _AT_ONCE):
            some = rows[first : first + _AT_ONCE]
            spans = zip(self.ends[some].tolist(), self.ends[some + 1].tolist(), strict=True)
            taken += b"".join(self._bytes[start:end] for start, end in spans)
        ends = np.cumsum(np.concatenate([[0], np.diff(self.ends)[rows]]))
        return Names._of(bytes(taken), ends)

    def order(self) -> IntArray:
        """Return the places of the names in the order of their bytes; equal ones stay in order."""
        if self._is_even():
            return np.argsort(self.encoded, kind="stable")
        return np.array(sorted(range(len(self)), key=self._at), np.int64)

    def starts(self) -> IntArray:
        """Return the first place of each run of equal names, and the end."""
        if self._is_even():
            names = self.encoded
            changes = (np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()
        else:
            changes = [i for i, (a, b) in enumerate(pairwise(self._each()), 1) if a != b]
        return np.array([0, *changes, len(self)], np.int64)

    def _is_even(self) -> bool:
        """Whether no name is so long that one width for all would waste much memory."""
        return self.longest * len(self) <= 8 * len(self._bytes)

    def _at(self, place: int) -> bytes:
        start, end = self.ends[place : place + 2].tolist()
        return self._bytes[start:end]

    def _each(self) -> Iterator[bytes]:
        """Yield each name in UTF-8."""
        start = 0
        for end in self.ends[1:].tolist():
            yield self._bytes[start:end]
            start = end

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: Any) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            spans = zip(self.ends[:-1][place].tolist(), self.ends[1:][place].tolist(), strict=True)
            return tuple(self._bytes[start:end].decode() for start, end in spans)
        return self._at(range(len(self))[place]).decode()

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self._each())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment] # some of its equals have none

    def __repr__(self) -> str:
        return f"Names({len(self)} names{f', the first {self[0]!r}' if len(self) else ''})"


def names_taken(table: ImageDataset, rows: IntArray) -> dict[str, Any]:
    """Return the groups and the domains of some rows of a table, by name, where it has them."""
    found = {name: getattr(table, name) for name in ("groups", "domains")}
    return {name: Names(one).take(rows) for name, one in found.items() if one is not None}
