"""What the images of a table hold now: looked at once, and read only where that is needed."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from decaf.datasets import read_bytes, stamp_of
from decaf.engines.machine import n_cores
from decaf.names import Names
from decaf.store import seal_stamps
from decaf.types import ImageDataset

_THREADS_A_CORE = 4  # they wait for disks


class Contents:
    """The contents of a table's images.

    Parameters
    ----------
    dataset : ImageDataset
        The table.

    Attributes
    ----------
    dataset : ImageDataset
        The table.
    first, of : numpy.ndarray
        First row of each image, and number of each row's image.
    raw : list of bytes
        Stamp of each image, as `stamp_of` returns it.
    stamps : numpy.ndarray
        ``(n_images, 16)`` uint8, the same as they are stored.
    known : numpy.ndarray
        ``(n_images,)`` bool, whether the stamp says anything.
    """

    def __init__(self, dataset: ImageDataset) -> None:
        self.dataset = dataset
        if dataset.boxes is None:
            self.first = self.of = np.arange(len(dataset.image_ids))
        else:
            _, self.first, self.of = np.unique(
                Names(dataset.image_ids).encoded, return_index=True, return_inverse=True
            )
        self.raw = [stamp_of(dataset, row) for row in self.first.tolist()]
        self.stamps = seal_stamps(self.raw)
        self.known = np.array(list(map(bool, self.raw)))
        self._read: dict[int, bytes | None] = {}

    def sha256(self, images: Iterable[int]) -> dict[int, bytes | None]:
        """Return the SHA-256 of the files of some images; None where one cannot be read."""
        images = list(images)
        missing = [image for image in images if image not in self._read]
        with ThreadPoolExecutor(_THREADS_A_CORE * n_cores()) as pool:
            self._read |= zip(missing, pool.map(self._sha256, missing), strict=True)
        return {image: self._read[image] for image in images}

    def _sha256(self, image: int) -> bytes | None:
        try:
            return hashlib.sha256(read_bytes(self.dataset, int(self.first[image]))).digest()
        except (OSError, ValueError):
            return None
