"""What a change of an image's file changes, at the price of one look at it."""

import hashlib
import os
from typing import Protocol, runtime_checkable

from decaf.types import ImageDataset

N_BYTES = 12


@runtime_checkable
class Stamped(Protocol):
    """A source of images that knows at little cost whether one was changed."""

    def stamp(self, image_id: str) -> str:
        """Return text that another content changes; an OSError says why it cannot."""


def stamp_of(dataset: ImageDataset, row: int) -> bytes:
    """Return what a change of the file of a row's image changes.

    Returns
    -------
    bytes
        12 bytes made of the file's size, times and number, or of what its archive or address says;
        none where nothing can be said. Equal stamps mean equal content; other stamps mean nothing.
    """
    image_id, source = dataset.image_ids[row], dataset.source
    try:
        if source is None:
            s = os.stat(f"{dataset.root}/{image_id}")  # noqa: PTH116 - paths are slow
            text = f"{s.st_size} {s.st_mtime_ns} {s.st_ctime_ns} {s.st_ino}"
        elif isinstance(source, Stamped):
            text = source.stamp(image_id)
        else:
            return b""
    except (OSError, ValueError):
        return b""
    return hashlib.blake2b(text.encode(), digest_size=N_BYTES).digest()
