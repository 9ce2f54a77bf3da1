"""What a reader leaves out: counted, and said in one line."""

from collections import Counter
from functools import cache

from decaf.progress import log

UNREAD_SUFFIXES = (
    ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr", ".tga", ".ico",
)  # fmt: skip
"""File names of images of kinds that are not read; those in `files.SUFFIXES` are rows."""


class PassedOver:
    """Counts what is left out of a data set, by reason."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def add(self, reason: str, name: str) -> None:
        """Count one.

        Parameters
        ----------
        reason : str
            What it is, in the plural.
        name : str
            Its name; the first one of each reason is said.
        """
        self._counts[reason] += 1
        self._first.setdefault(reason, name)

    def say(self, where: str) -> None:
        """Print what was counted, if anything was.

        Parameters
        ----------
        where : str
            What to call the data set.
        """
        if self._counts:
            items = (
                f"{reason} ({count}, first {self._first[reason][:80]!r})"
                for reason, count in self._counts.items()
            )
            say_once(f"{where}: passed over {', '.join(items)}")


@cache
def say_once(line: str) -> None:
    """Print a line, unless this process has printed it: a table may be made more than once."""
    log(line)
