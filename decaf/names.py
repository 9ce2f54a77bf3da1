"""Many names in little memory."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from decaf.types import IntArray


class Names(Sequence[str]):
    """A sequence of names that takes the bytes of the longest one for each.

    A tuple of strings takes some 70 bytes for each besides, which is a lot of memory for a table
    of a million pictures. Equal to any sequence of the same names.

    Parameters
    ----------
    names : collection of str
        Without zero bytes at their ends, as names of files have none.

    Attributes
    ----------
    encoded : numpy.ndarray
        ``(n,)`` of dtype ``S``: the names in UTF-8.

    Raises
    ------
    UnicodeEncodeError
        If a name cannot be written as UTF-8.
    """

    def __init__(self, names: Collection[str]) -> None:
        if isinstance(names, Names):
            self.encoded: npt.NDArray[np.bytes_] = names.encoded
            return
        longest = max((len(name.encode()) for name in names), default=0)
        self.encoded = np.fromiter(
            (name.encode() for name in names), f"S{max(longest, 1)}", len(names)
        )

    @classmethod
    def joined(cls, parts: Iterable["Names"]) -> Self:
        """Return the names of all parts, part after part."""
        names = cls(())
        names.encoded = np.concatenate([names.encoded, *(part.encoded for part in parts)])
        return names

    def take(self, rows: IntArray) -> "Names":
        """Return the names at some places."""
        names = Names(())
        chosen = self.encoded[rows]
        longest = int(np.strings.str_len(chosen).max(initial=1))
        names.encoded = chosen.astype(f"S{longest}", copy=False)
        return names

    def __len__(self) -> int:
        return len(self.encoded)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(name.decode() for name in self.encoded[place].tolist())
        return bytes(self.encoded[place]).decode()

    def __iter__(self) -> Iterator[str]:
        return (name.decode() for name in self.encoded)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(
            mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    __hash__ = None  # type: ignore[assignment] # some of its equals have none

    def __repr__(self) -> str:
        return f"Names({len(self)} names{f', the first {self[0]!r}' if len(self) else ''})"
