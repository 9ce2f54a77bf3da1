"""What the images of a table hold now: looked at once, and read only where that is needed."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import numpy as np
import numpy.typing as npt

from decaf.datasets import read_bytes, stamp_of
from decaf.machine import n_cores
from decaf.names import Names
from decaf.store import seal_stamps
from decaf.types import ImageDataset, IntArray

_THREADS_A_CORE = 4  # they wait for disks


class Contents:
    """The contents of a table's images.

    Parameters
    ----------
    dataset : ImageDataset
        The table.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset
        self._read: dict[int, bytes | None] = {}

    @cached_property
    def rows(self) -> tuple[IntArray, IntArray]:
        """First row of each image, and number of each row's image."""
        if self.dataset.boxes is None:
            each = np.arange(len(self.dataset.image_ids))
            return each, each
        names = Names(self.dataset.image_ids).encoded
        _, first, of = np.unique(names, return_index=True, return_inverse=True)
        return first, of

    @cached_property
    def raw(self) -> list[bytes]:
        """Stamp of each image, as `stamp_of` returns it."""
        return [stamp_of(self.dataset, row) for row in self.rows[0].tolist()]

    @cached_property
    def stamps(self) -> npt.NDArray[np.uint8]:
        """Stamps ``(n_images, 16)`` as they are stored."""
        return seal_stamps(self.raw)

    @cached_property
    def known(self) -> npt.NDArray[np.bool_]:
        """Whether the stamp of each image says anything."""
        return np.array(list(map(bool, self.raw)))

    def sha256(self, images: Iterable[int]) -> dict[int, bytes | None]:
        """Return the SHA-256 of the files of some images; None where one cannot be read."""
        images = list(images)
        missing = [image for image in images if image not in self._read]
        with ThreadPoolExecutor(_THREADS_A_CORE * n_cores()) as pool:
            self._read |= zip(missing, pool.map(self._sha256, missing), strict=True)
        return {image: self._read[image] for image in images}

    def _sha256(self, image: int) -> bytes | None:
        try:
            return hashlib.sha256(read_bytes(self.dataset, int(self.rows[0][image]))).digest()
        except (OSError, ValueError):
            return None
