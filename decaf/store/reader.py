"""Reading a store without loading it."""

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError, StoreError
from decaf.store.layer import StoredLayer
from decaf.store.opening import damage_errors, open_store, part_paths, read_provenance
from decaf.types import FloatArray, IntArray


class FeatureStore:
    """A store of features, read-only.

    Rows that are not :attr:`done` hold no features: select by it. Open a store in the process
    that reads it, after any fork.

    Parameters
    ----------
    path : pathlib.Path or str
        The store.

    Attributes
    ----------
    path : pathlib.Path
        The store.
    provenance : decaf.store.Provenance
        What decided the features' values.

    Raises
    ------
    StoreError
        If there is none, or it is damaged, of another schema, being written, or not a store.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = open_store(self.path)
        try:
            self.provenance = read_provenance(self._file)
        except StoreError:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __getitem__(self, layer: str) -> StoredLayer:
        if layer not in self.layers:
            raise ConfigError(
                f"unknown layer {layer!r} in {self.path}; choose one of: {', '.join(self.layers)}"
            )
        with damage_errors(self.path):
            return StoredLayer(self._file[f"features/{layer}"], self.path)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return self.provenance.layers

    @property
    def digest(self) -> str:
        """Digest of the provenance, in hexadecimal."""
        return self.provenance.digest()

    @property
    def n_images(self) -> int:
        """Number of rows, a shard's own if this is one."""
        return self.provenance.n_rows

    @cached_property
    def parts(self) -> list[Path]:
        """Shards that a joined store is made of; empty for one that holds its rows itself."""
        return list(part_paths(self._file, self.path).values())

    @property
    def n_views(self) -> int:
        """Number of views of an image."""
        shape = self[self.layers[0]].shape
        return 1 if len(shape) == 2 else shape[1]

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Relative path of each row's picture."""
        return self._names("image_ids")

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Name of each class number."""
        return self._names("class_names")

    @cached_property
    def labels(self) -> IntArray:
        """Class numbers ``(n_images,)``, or ``(n_images, n_classes)`` of 1, 0 and -1."""
        return self._column("labels")

    @cached_property
    def official(self) -> IntArray | None:
        """Official splits ``(n_images, n_partitions)``, where the data set has them."""
        return self._column("official") if "official" in self._file else None

    @cached_property
    def boxes(self) -> FloatArray | None:
        """Boxes ``(n_images, 4)`` in pixels, where the data set has them."""
        return self._column("boxes") if "boxes" in self._file else None

    @cached_property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which rows ``(n_images,)`` hold features; the others failed, or are yet to come."""
        return self._column("done").astype(bool)

    @cached_property
    def image_sha256(self) -> npt.NDArray[np.uint8]:
        """SHA-256 ``(n_images, 32)`` of each encoded picture file."""
        return self._column("image_sha256")

    def _column(self, name: str) -> npt.NDArray[Any]:
        with damage_errors(self.path):
            return np.asarray(self._file[name][:])

    def _names(self, name: str) -> tuple[str, ...]:
        return tuple(text.decode() for text in self._column(name).tolist())
