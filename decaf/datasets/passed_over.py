"""What a reader leaves out: counted, and said in one line."""

from functools import cache

from decaf.progress import log

_N_NAMED = 3
NO_IMAGES = "entries that are no images"

UNREAD_SUFFIXES = (
    ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr", ".tga", ".ico",
)  # fmt: skip
"""File names of images of kinds that are not read; those in `listing.SUFFIXES` are rows."""


class PassedOver:
    """Collects what is left out of a data set, by reason."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def add(self, reason: str, *names: str) -> None:
        """Count some names.

        Parameters
        ----------
        reason : str
            What they are, in the plural.
        *names : str
            The first ones of each reason are said.
        """
        if names:
            self._names.setdefault(reason, []).extend(names)

    def say(self, where: str) -> None:
        """Print what was counted, if anything was."""
        if self._names:
            items = (
                f"{what} ({len(names)}: {some_names(names)})" for what, names in self._names.items()
            )
            say_once(f"{where}: passed over {', '.join(items)}")


def some_names(names: list[str]) -> str:
    """Return the first names of some, and how many more there are."""
    said = ", ".join(repr(name[:80]) for name in names[:_N_NAMED])
    return f"{said} and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else said


@cache
def say_once(line: str) -> None:
    """Print a line, unless this process has printed it: a table may be made more than once."""
    log(line)
