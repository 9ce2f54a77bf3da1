"""Reading a store without loading it, and no row of it unchecked."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from decaf.choices import did_you_mean
from decaf.errors import ConfigError, StoreError
from decaf.names import Names, names_taken
from decaf.records import Search
from decaf.store.checksums import broken_seals, row_crcs
from decaf.store.damage import DamagedStoreError, damaged
from decaf.store.layer import StoredLayer
from decaf.store.opening import StoreFile
from decaf.types import BACKGROUND, DIFFICULT, FloatArray, ImageDataset, IntArray

if TYPE_CHECKING:
    import pandas as pd

    from decaf.store.searched import Answer

_PIECE_BYTES = 2**22
"""Of rows that are read and checked at once: a cache holds them, and threads seldom meet."""
_N_THREADS = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
_N_NAMED = 3


class FeatureStore:
    """A store of features, read-only.

    Rows that are not :attr:`done` hold no features: select by it. Whatever is read is compared with
    its checksum, a row's features when they are read for the first time.

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
        If there is none, or it is damaged, of another schema, being written, or not a store; and
        whenever what is read does not fit its checksum.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._file = StoreFile(self.path)
        self.provenance = self._file.header.provenance
        self._checked: dict[str, npt.NDArray[np.bool_]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        layers = ", ".join(f"{name} {self[name].shape[1:]}" for name in self.layers)
        try:
            done = f"{int(self.done.sum())} done"
        except StoreError:  # closed, or damaged
            done = "unreadable"
        return (
            f"FeatureStore({str(self.path)!r}: {self.n_images} rows, {done}; {layers}; "
            f"{self.provenance.dtype})"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __getitem__(self, layer: str) -> StoredLayer:
        if layer not in self.layers:
            raise ConfigError(
                f"unknown layer {layer!r} in {self.path}; {did_you_mean(layer, self.layers)}choose "
                f"one of: {', '.join(self.layers)}"
            )
        column = self._file.columns[f"features/{layer}"]
        return StoredLayer(partial(self._features, layer), column.shape, column.dtype)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers."""
        return self.provenance.layers

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides what the store holds, in hexadecimal.

        That is of the provenance, and of the images' content.
        """
        digest = hashlib.sha256(self.provenance.digest().encode())
        digest.update(np.packbits(self.done).tobytes())
        digest.update(self.image_sha256.tobytes())
        return digest.hexdigest()

    @property
    def n_images(self) -> int:
        """Number of rows, a shard's own if this is one."""
        return self.provenance.n_rows

    @cached_property
    def parts(self) -> list[Path]:
        """Shards that a joined store is made of; empty for one that holds its rows itself."""
        return [shard.path for shard in self._file.shards]

    @property
    def n_views(self) -> int:
        """Number of views of an image."""
        shape = self[self.layers[0]].shape
        return 1 if len(shape) == 2 else shape[1]

    @cached_property
    def image_ids(self) -> tuple[str, ...]:
        """Relative path of each row's image."""
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
        return self._column_or_none("official")

    @cached_property
    def boxes(self) -> FloatArray | None:
        """Boxes ``(n_images, 4)`` in pixels, where the data set has them."""
        return self._column_or_none("boxes")

    @cached_property
    def groups(self) -> tuple[str, ...] | None:
        """What each row's image belongs to, where the data set has groups."""
        return self._names_or_none("groups")

    @cached_property
    def domains(self) -> tuple[str, ...] | None:
        """Where each row's image comes from, where the data set has domains."""
        return self._names_or_none("domains")

    @property
    def image_sizes_px(self) -> IntArray:
        """Width and height ``(n_images, 2)`` of each row's image; -1 where it is not known."""
        return self._sealed[2]

    def table(self) -> ImageDataset:
        """Return the table of the rows, as the data set had it.

        Returns
        -------
        ImageDataset
            Its root is the store's folder, and the sizes of its files are not known.
        """
        return ImageDataset(
            name=self.provenance.dataset,
            root=self.path.parent,
            image_ids=self.image_ids,
            labels=self.labels,
            class_names=self.class_names,
            sizes_bytes=np.full(self.n_images, -1, np.int64),
            official=self.official,
            boxes=self.boxes,
            groups=self.groups,
            domains=self.domains,
            image_labels=self._column_or_none("image_labels"),
            image_boxes=self._column_or_none("image_boxes"),
            partial=bool(self._column("partial").any()),
        )

    def search(
        self,
        queries: "FeatureStore | Sequence[str] | FloatArray",
        how: Search = Search(),
        *,
        device: str = "cpu",
    ) -> "tuple[Answer, ...]":
        """Find the images that are most like others; `decaf.search` takes image files too.

        Parameters
        ----------
        queries : FeatureStore, sequence of str or numpy.ndarray
            A store of the same net and layer, ids of this one, or ``(n_queries, n_features)``
            features.
        how : Search
            Layer, metric and number of answers.
        device : str
            Where products are computed; as for `decaf.device.find_device`.

        Returns
        -------
        tuple of decaf.store.Answer
            One for each query; an image is no answer to itself.

        Raises
        ------
        ConfigError
            If an id or the layer is not there.
        StoreMismatchError
            If the other store is of another net.
        """
        from decaf.store import searched  # noqa: PLC0415 - torch takes long, and reading does without

        return searched.search_store(
            self, searched.read_queries(self, queries, how), how, device=device
        )

    def to_numpy(self, layer: str) -> tuple[FloatArray, IntArray]:
        """Return a layer's features and labels, without images that failed.

        Parameters
        ----------
        layer : str
            One of `layers`.

        Returns
        -------
        tuple of numpy.ndarray
            ``(n_done, n_features)``, or ``(n_done, n_views, n_features)``; and `labels` of the
            same rows.
        """
        return self[layer][self.done], self.labels[self.done]

    def to_frame(self, layer: str) -> "pd.DataFrame":
        """Return a layer's features as a frame, without images that failed.

        Parameters
        ----------
        layer : str
            One of `layers`.

        Returns
        -------
        pandas.DataFrame
            A row an image, by its id: `label` in words, several joined by ``|``; then the
            features, numbered, view after view.
        """
        import pandas as pd  # noqa: PLC0415 - it takes long, and reading does without

        features, _ = self.to_numpy(layer)
        named = zip(self.image_ids, label_texts(self.table()), self.done, strict=True)
        ids, labels = zip(*((name, label) for name, label, done in named if done), strict=True)
        frame = pd.DataFrame(features.reshape(len(features), -1), pd.Index(ids, name="image_id"))
        frame.insert(0, "label", labels)
        return frame

    def image_table(self) -> ImageDataset:
        """Return the table of the images: `table`, but where rows are patches of images.

        Returns
        -------
        ImageDataset
            The images in the order of their patches, with their own labels and boxes.
        """
        rows = self.table()
        if rows.image_labels is None:
            return rows
        names, first = Names(rows.image_ids), Names(rows.image_ids).starts()[:-1]
        labelled = rows.class_names[-2:] == (BACKGROUND, DIFFICULT) and not np.array_equal(
            rows.labels, rows.image_labels
        )
        return replace(
            rows,
            image_ids=names.take(first),
            labels=rows.image_labels[first],
            class_names=rows.class_names[:-2] if labelled else rows.class_names,
            sizes_bytes=rows.sizes_bytes[first],
            official=None if rows.official is None else rows.official[first],
            boxes=None if rows.image_boxes is None else rows.image_boxes[first],
            image_labels=None,
            image_boxes=None,
            **names_taken(rows, first),
        )

    @cached_property
    def done(self) -> npt.NDArray[np.bool_]:
        """Which rows ``(n_images,)`` hold features; the others failed, or are yet to come."""
        return self._sealed[0]

    @cached_property
    def image_sha256(self) -> npt.NDArray[np.uint8]:
        """SHA-256 ``(n_images, 32)`` of each encoded image file."""
        return self._sealed[1]

    @cached_property
    def image_stamp(self) -> npt.NDArray[np.uint8]:
        """Stamp ``(n_images, 16)`` of each image's file when it was read, see `rows.py`."""
        return self._column("image_stamp")

    @cached_property
    def _sealed(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint8], IntArray]:
        """The flags, digests and sizes of all rows, which fit their checksums."""
        done = self._column("done").astype(bool)
        broken = broken_seals(self._file, 0, self.n_images) & (done | self._is_complete)
        if broken.any():
            raise self._damaged_rows("the flags, digests and sizes", np.flatnonzero(broken))
        return done, self._column("image_sha256"), self._column("image_sizes_px")

    @property
    def _is_complete(self) -> bool:
        return self.path.suffix == ".h5"

    def _features(self, layer: str, start: int, stop: int) -> FloatArray:
        """Return rows of a layer, checked."""
        column = self._file.columns[f"features/{layer}"]
        out = np.empty((stop - start, *column.shape[1:]), column.dtype)
        if layer not in self._checked:
            self._checked[layer] = self._needless()
        step = max(1, _PIECE_BYTES // max(1, column.row_bytes))
        pieces = range(0, len(out), step)
        if len(pieces) < 2 * _N_THREADS:
            bad = [self._read_piece(layer, out[i : i + step], start + i) for i in pieces]
        else:
            with ThreadPoolExecutor(_N_THREADS) as pool:
                bad = list(
                    pool.map(
                        lambda i: self._read_piece(layer, out[i : i + step], start + i), pieces
                    )
                )
        wrong = np.concatenate([np.empty(0, np.int64), *bad])
        if len(wrong):
            raise self._damaged_rows(f"the features of layer {layer!r}", wrong)
        return out

    def _read_piece(self, layer: str, out: FloatArray, start: int) -> IntArray:
        """Read rows into an array; return those that do not fit their checksums."""
        self._file.read_into(out, f"features/{layer}", start)
        checked = self._checked[layer][start : start + len(out)]
        if checked.all():
            return np.empty(0, np.int64)
        expected = self._file.read(f"crc32/{layer}", start, start + len(out))
        wrong = (row_crcs(out) != expected) & ~checked
        checked |= ~wrong
        return start + np.flatnonzero(wrong)

    def _needless(self) -> npt.NDArray[np.bool_]:
        """Return the rows that have no checksums: those that are yet to come."""
        return np.zeros(self.n_images, bool) if self._is_complete else ~self.done

    def _damaged_rows(self, what: str, rows: IntArray) -> DamagedStoreError:
        ids = ", ".join(f"{row} ({self.image_ids[row]})" for row in rows[:_N_NAMED].tolist())
        more = ", ..." if len(rows) > _N_NAMED else ""
        return damaged(
            self.path, f"{what} do not fit their checksums in {len(rows)} rows: {ids}{more}"
        )

    def _column(self, name: str) -> npt.NDArray[Any]:
        return self._file.read(name)

    def _column_or_none(self, name: str) -> npt.NDArray[Any] | None:
        return self._column(name) if name in self._file.columns else None

    def _names_or_none(self, name: str) -> tuple[str, ...] | None:
        return self._names(name) if name in self._file.columns else None

    def _names(self, name: str) -> tuple[str, ...]:
        try:
            return tuple(text.decode() for text in self._column(name).tolist())
        except UnicodeDecodeError as error:
            raise damaged(self.path, f"{name} that are not UTF-8") from error


def label_texts(table: ImageDataset) -> list[str]:
    """Return each row's class, its classes joined by ``|``, or its number."""
    names = np.array([*table.class_names, ""], object)
    if table.label_kind == "number":
        return [repr(number) for number in table.labels[:, 0].tolist()]
    if table.labels.ndim == 1:
        return list(names[table.labels])
    return ["|".join(names[np.flatnonzero(row > 0)]) for row in table.labels]
