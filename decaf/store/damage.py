"""Telling a damaged store from one that cannot be read just now."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from decaf.errors import StoreError

_ADVICE = {
    errno.EACCES: "get the right to read it",
    errno.EPERM: "get the right to read it",
    errno.EMFILE: "close other files, or raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other files, or raise the limit of open files",
    errno.ENOENT: "put it back, or extract it",
}


class DamagedStoreError(StoreError):
    """What is there is damaged, of another schema, or no store at all."""


def damaged(path: Path, found: str) -> DamagedStoreError:
    """Return the error of a file whose bytes are not those that were written."""
    return DamagedStoreError(
        f"asked to read the store {path}, found it damaged: {found}; delete it and extract again"
    )


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Turn what the system says of a file into a StoreError that claims no more than that.

    Raises
    ------
    StoreError
        With the system's reason, and what to do; the file itself may be sound.
    """
    try:
        yield
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "see to the disk or network share and run again")
        raise StoreError(
            f"asked to read the store {path}, found: {error.strerror or error}; {advice}"
        ) from error
