"""The images behind the rows of a store or of results, in small."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from decaf.datasets import ADAPTERS, ImageFiles, load_dataset, read_image
from decaf.datasets.tars import holds_tars
from decaf.errors import DataError
from decaf.records import Images
from decaf.store import FeatureStore
from decaf.types import FloatArray


def image_files(dataset: str, where: Images) -> ImageFiles | None:
    """Return where the images of a store or of results lie.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    where : Images
        Where to look: a folder is that which the images' ids are relative to.

    Returns
    -------
    ImageFiles or None
        None where the data set has no name that decaf knows, or is not there.

    Raises
    ------
    ConfigError
        If they are at a URL of an unknown kind.
    DataError
        If `where` names a place that is not there, or cannot be listed.
    """
    if where.images is not None:
        return _given(str(where.images))
    data_root = Path(where.data_root)
    if dataset not in ADAPTERS or not ADAPTERS[dataset].INFO.is_present(data_root):
        return None
    try:
        return ImageFiles(load_dataset(dataset, data_root, allow_partial=True).root)
    except DataError:
        return None


def store_images(store: FeatureStore, where: Images) -> ImageFiles:
    """Return where the images of a store lie.

    Raises
    ------
    DataError
        If they are not there.
    """
    files = image_files(store.provenance.dataset, where)
    if files is None:
        raise DataError(
            f"asked for the images of {store.provenance.dataset}, found none; give their folder "
            "with --images"
        )
    return files


def _given(images: str) -> ImageFiles:
    if Path(images).is_dir() and not holds_tars(images):
        return ImageFiles(Path(images))
    known = "://" in images or images.lower().endswith((".tar", ".csv", ".zip"))
    if not (known or Path(images).is_dir()):
        raise DataError(f"asked for the images in {images}, found no such folder; correct it")
    table = load_dataset(images)
    return ImageFiles(table.root, table.source)


def pillow_image(files: ImageFiles, image_id: str) -> Image.Image | None:
    """Return an image by decaf's pixel policy; None where it cannot be read."""
    try:
        pixels = read_image(files, image_id)
    except DataError:
        return None
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))


def thumbnail(files: ImageFiles, image_id: str, side_px: int = 32) -> FloatArray | None:
    """Return an image squashed to a square.

    Parameters
    ----------
    files : ImageFiles
        Where it lies.
    image_id : str
        Which one.
    side_px : int
        Side of the square.

    Returns
    -------
    numpy.ndarray or None
        ``(side_px, side_px, 3)`` float32 RGB from 0 to 255; None where it cannot be read.
    """
    image = pillow_image(files, image_id)
    if image is None:
        return None
    small = image.resize((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def data_uri(files: ImageFiles, image_id: str, side_px: int = 112, quality: int = 75) -> str | None:
    """Return an image in small as a JPEG in a ``data:`` address.

    Parameters
    ----------
    files : ImageFiles
        Where it lies.
    image_id : str
        Which one.
    side_px : int
        Length of the longer side.
    quality : int
        JPEG quality.

    Returns
    -------
    str or None
        The address; None where the image cannot be read.
    """
    image = pillow_image(files, image_id)
    if image is None:
        return None
    image.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
