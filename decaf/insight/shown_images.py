"""Images to look into a net with: of a data set, or of a store."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from decaf.analysis.sample import sample_rows
from decaf.analysis.thumbnails import image_files
from decaf.datasets import ADAPTERS, ImageFiles, load_dataset, read_image
from decaf.errors import ConfigError, DataError
from decaf.images.views import make_view
from decaf.records import Images
from decaf.store import FeatureStore
from decaf.types import IntArray, Preprocessing


@dataclass(frozen=True, eq=False)
class ShownImages:
    """Images and their classes.

    Attributes
    ----------
    ids : tuple of str
        Their paths, relative to where they lie.
    labels : numpy.ndarray or None
        ``(n_images,)`` class numbers; None where images have several labels.
    class_names : tuple of str
        Name of each class number.
    files : ImageFiles
        Where they lie.
    view : str
        How they become a net's input.
    """

    ids: tuple[str, ...]
    labels: IntArray | None
    class_names: tuple[str, ...]
    files: ImageFiles
    view: str = "center"

    def pixels(self, preprocessing: Preprocessing) -> torch.Tensor:
        """Return ``(n_images, 3, S, S)`` uint8 inputs of a net.

        Raises
        ------
        DataError
            If an image cannot be read.
        """
        return torch.stack([self._input(one, preprocessing) for one in self.ids])

    def _input(self, image_id: str, preprocessing: Preprocessing) -> torch.Tensor:
        try:
            image = read_image(self.files, image_id)
        except DataError as error:
            raise DataError(
                f"asked for the image {image_id}, found: {error}; correct or remove it"
            ) from error
        return make_view(image, self.view, preprocessing)

    def columns(self, n_scores: int, names: Path | None) -> IntArray | None:
        """Return the number of each image's class among a net's scores; None if unknown.

        Parameters
        ----------
        n_scores : int
            How many classes the net knows.
        names : pathlib.Path, optional
            Their names, one a line; if not given and there are as many classes here, they are
            taken to be the net's, in its order.

        Raises
        ------
        ConfigError
            If the file names another number of classes, or lacks one.
        DataError
            If it cannot be read.
        """
        if self.labels is None or (names is None and len(self.class_names) != n_scores):
            return None
        if names is None:
            return self.labels
        listed = names.read_text(encoding="utf-8").split("\n")
        listed = [line.strip() for line in listed if line.strip()]
        if len(listed) != n_scores:
            raise ConfigError(
                f"asked for the classes in {names}, found {len(listed)} lines for a net of "
                f"{n_scores} classes; give one line a class"
            )
        places = {name: number for number, name in enumerate(listed)}
        lacking = [name for name in self.class_names if name not in places]
        if lacking:
            raise ConfigError(
                f"asked for the classes in {names}, found no {', '.join(lacking[:3])}; name "
                "classes as the images' folders are"
            )
        return np.array([places[self.class_names[label]] for label in self.labels.tolist()])


def shown_images(
    images: str | Path, limit: int, *, folder: Path | None = None, data_root: str | Path = "data"
) -> ShownImages:
    """Return images of a data set or of a store, evenly spaced.

    Parameters
    ----------
    images : str or pathlib.Path
        A folder of class folders, or what else `decaf.extract` takes; or a store (``.h5``).
    limit : int
        At most so many.
    folder : pathlib.Path, optional
        Where the images of the store are; of a named data set those below `data_root` if not given.
    data_root : str or pathlib.Path
        Folder of the named data sets.

    Raises
    ------
    DataError
        If there are no images.
    ConfigError
        If a store's rows are no whole views, or a folder is given without a store.
    """
    if Path(images).suffix == ".h5":
        return _of_store(Path(images), limit, Images(folder, data_root))
    if folder is not None:
        raise ConfigError(f"asked for images in {folder} without a store; give them as --images")
    named = str(images) in ADAPTERS
    table = load_dataset(images, Path(data_root), allow_partial=named, limit=limit)
    return ShownImages(
        tuple(table.image_ids),
        _single(table.labels),
        table.class_names,
        ImageFiles(table.root, table.source),
    )


def _of_store(path: Path, limit: int, where: Images) -> ShownImages:
    with FeatureStore(path) as store:
        view = store.provenance.views[0]
        if store.n_views != 1 or " " in view:
            raise ConfigError(
                f"asked for the images of {path}, found rows of {', '.join(store.provenance.views)}"
                "; give a store of whole images in one view"
            )
        files = image_files(store.provenance.dataset, where)
        if files is None:
            raise DataError(
                f"asked for the images of {path}, found none; give their folder with --folder"
            )
        rows = sample_rows(store, limit)
        ids: Sequence[str] = [store.image_ids[row] for row in rows.tolist()]
        return ShownImages(tuple(ids), _single(store.labels[rows]), store.class_names, files, view)


def _single(labels: IntArray) -> IntArray | None:
    return labels if labels.ndim == 1 else None
