"""Everything that can be said of a store without training a head."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from decaf.analysis.duplicates import DuplicatePair, duplicate_pairs
from decaf.analysis.kernel_curve import KernelCurve, kernel_curve
from decaf.analysis.sample import layer_rows, sample_rows
from decaf.analysis.similarity import cka_matrix
from decaf.analysis.statistics import LayerStatistics, layer_statistics
from decaf.analysis.thumbnails import image_files, thumbnail
from decaf.analysis.transfer import logme
from decaf.datasets import ImageFiles
from decaf.errors import DataError, StoreMismatchError
from decaf.progress import show_progress
from decaf.records import Images, takes_records, words
from decaf.store import FeatureStore
from decaf.store.reader import label_texts
from decaf.types import SIDES, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Inspection:
    """What was found in a store.

    Attributes
    ----------
    path : pathlib.Path
        The store.
    dataset : str
        Its data set.
    n_images, n_looked_at : int
        Rows of the store, and those that the statistics are of.
    statistics : mapping of str to LayerStatistics
        By layer.
    norms : mapping of str to numpy.ndarray
        ``(n_looked_at,)`` Euclidean norms by layer.
    logme : mapping of str to float
        Transfer score by layer; nan where labels tell nothing.
    kernel : mapping of str to KernelCurve or None
        Kernel analysis by layer; None where labels tell nothing.
    similarity_names : tuple of str
        The layers of this store and of others.
    similarity : numpy.ndarray
        ``(n, n)`` debiased linear CKA of these.
    duplicates : tuple of DuplicatePair
        Images that stand in the data set more than once.
    image_ids : tuple of str
        Image of each row.
    labels : tuple of str
        Class or classes of each row, in words.
    sides : tuple of str
        Side of each row in the first official split; ``""`` where there is none.
    files : ImageFiles or None
        Where the images lie, if they are at hand.
    """

    path: Path
    dataset: str
    n_images: int
    n_looked_at: int
    statistics: Mapping[str, LayerStatistics]
    norms: Mapping[str, FloatArray]
    logme: Mapping[str, float]
    kernel: Mapping[str, KernelCurve | None]
    similarity_names: tuple[str, ...]
    similarity: FloatArray
    duplicates: tuple[DuplicatePair, ...]
    image_ids: tuple[str, ...]
    labels: tuple[str, ...]
    sides: tuple[str, ...]
    files: ImageFiles | None


@takes_records
def inspect_store(
    path: str | Path,
    *,
    against: Sequence[Path] = (),
    layers: str | None = None,
    limit: int = 2000,
    kernel_rows: int = 500,
    mirrored: bool = False,
    images: Images = Images(),
    quiet: bool = False,
) -> Inspection:
    """Look at a store's features, and for images that stand in the data set more than once.

    Parameters
    ----------
    path : str or pathlib.Path
        The store.
    against : sequence of pathlib.Path
        Other stores of the same images, to compare layers with.
    layers : str, optional
        Comma-separated layers; all if not given. Duplicates are looked for in the last.
    limit : int
        Images that statistics, likeness and transfer scores are of, evenly spaced.
    kernel_rows : int
        Images of a sample of kernel analysis; 0: none is made. Its cost grows with their cube.
    mirrored : bool
        Look for mirror images too.
    images : Images
        Where the images are. Without images, duplicates are judged by features alone.
    quiet : bool
        Print no progress.

    Raises
    ------
    StoreError
        If a store cannot be read, or has no such layer.
    StoreMismatchError
        If another store has none of the images.
    DataError
        If fewer than 4 images have features, or the folder of images is missing.
    ConfigError
        If mirror images are asked for without images.
    """
    with ExitStack() as stack:
        store = stack.enter_context(FeatureStore(path))
        others = [stack.enter_context(FeatureStore(other)) for other in against]
        names = words(layers) or store.layers
        rows = sample_rows(store, limit)
        if len(rows) < 4:
            raise DataError(f"asked to inspect {path}, found {len(rows)} images; give 4 or more")
        dataset = store.provenance.dataset
        files = image_files(dataset, images)
        with show_progress("inspecting", len(names) + 2, "steps", quiet=quiet) as advance:
            statistics, norms, scores, kernel = {}, {}, {}, {}
            for name in names:
                X = layer_rows(store, name, rows)
                statistics[name] = layer_statistics(X)
                norms[name] = np.linalg.norm(X, axis=1)
                scores[name] = _score(X, store.labels[rows])
                kernel[name] = _kernel(X, store.labels[rows], kernel_rows)
                advance(1)
            similarity_names, similarity = _similarity(store, names, others, rows)
            advance(1)
            duplicates = _duplicates(store, names[-1], files, mirrored=mirrored)
            advance(1)
        return Inspection(
            path=Path(path),
            dataset=dataset,
            n_images=store.n_images,
            n_looked_at=len(rows),
            statistics=statistics,
            norms=norms,
            logme=scores,
            kernel=kernel,
            similarity_names=similarity_names,
            similarity=similarity,
            duplicates=tuple(duplicates),
            image_ids=store.image_ids,
            labels=_labels(store),
            sides=_sides(store),
            files=files,
        )


def _score(X: FloatArray, labels: IntArray) -> float:
    try:
        return logme(X, labels)
    except DataError:  # one class only, or a dead layer: there is nothing to score
        return float("nan")


def _kernel(X: FloatArray, labels: IntArray, n_rows: int) -> KernelCurve | None:
    try:
        return kernel_curve(X, labels, n_rows) if n_rows else None
    except DataError:  # as for the transfer score
        return None


def _similarity(
    store: FeatureStore, names: Sequence[str], others: Sequence[FeatureStore], rows: IntArray
) -> tuple[tuple[str, ...], FloatArray]:
    """Compare layers over the images that every store has."""
    places = [
        {image_id: row for row, image_id in enumerate(other.image_ids) if other.done[row]}
        for other in others
    ]
    shared = [
        row for row in rows.tolist() if all(store.image_ids[row] in place for place in places)
    ]
    if len(shared) < 4:
        raise StoreMismatchError(
            f"asked to compare {store.path} with {', '.join(str(o.path) for o in others)}, found "
            f"{len(shared)} images in common; give stores of one data set"
        )
    found = [layer_rows(store, name, np.array(shared)) for name in names]
    told = list(names)
    for other, place in zip(others, places, strict=True):
        theirs = np.array([place[store.image_ids[row]] for row in shared])
        found += [layer_rows(other, name, theirs) for name in other.layers]
        told += [f"{other.provenance.backbone} {name}" for name in other.layers]
    return tuple(told), cka_matrix(found, debiased=True)


def _duplicates(
    store: FeatureStore, layer: str, files: ImageFiles | None, *, mirrored: bool
) -> list[DuplicatePair]:
    rows = sample_rows(store, None)
    small = None if files is None else partial(_thumbnail, files, store.image_ids)
    X = layer_rows(store, layer, rows)
    return duplicate_pairs(X, rows, store.image_sha256, small, mirrored=mirrored)


def _thumbnail(files: ImageFiles, image_ids: Sequence[str], row: int) -> FloatArray | None:
    return thumbnail(files, image_ids[row])


def _labels(store: FeatureStore) -> tuple[str, ...]:
    return tuple(label.replace("|", ", ") for label in label_texts(store.table()))


def _sides(store: FeatureStore) -> tuple[str, ...]:
    if store.official is None:
        return ("",) * store.n_images
    return tuple("" if code == 0 else SIDES[code - 1] for code in store.official[:, 0].tolist())
