"""The pictures behind the rows of a store or of results, in small."""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from decaf.datasets import ADAPTERS, load_dataset
from decaf.errors import DataError
from decaf.images.decode import decode
from decaf.types import FloatArray


def picture_root(dataset: str, data_root: Path) -> Path | None:
    """Return the folder that a named data set's picture ids are relative to.

    Parameters
    ----------
    dataset : str
        Name of the data set.
    data_root : pathlib.Path
        Folder that holds the named data sets.

    Returns
    -------
    pathlib.Path or None
        None where the data set has no name that decaf knows, or is not there.
    """
    if dataset not in ADAPTERS or not ADAPTERS[dataset].INFO.is_present(data_root):
        return None
    try:
        return load_dataset(dataset, data_root, allow_partial=True).root
    except DataError:
        return None


def read_picture(path: Path) -> Image.Image | None:
    """Return a picture by decaf's pixel policy; None where it cannot be read."""
    try:
        pixels = decode(path.read_bytes())
    except (OSError, DataError):
        return None
    return Image.fromarray(np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()))


def thumbnail(path: Path, side_px: int = 32) -> FloatArray | None:
    """Return a picture squashed to a square.

    Parameters
    ----------
    path : pathlib.Path
        The picture file.
    side_px : int
        Side of the square.

    Returns
    -------
    numpy.ndarray or None
        ``(side_px, side_px, 3)`` float32 RGB from 0 to 255; None where it cannot be read.
    """
    picture = read_picture(path)
    if picture is None:
        return None
    small = picture.resize((side_px, side_px), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32)


def data_uri(path: Path, side_px: int = 112, quality: int = 75) -> str | None:
    """Return a picture in small as a JPEG in a ``data:`` address.

    Parameters
    ----------
    path : pathlib.Path
        The picture file.
    side_px : int
        Length of the longer side.
    quality : int
        JPEG quality.

    Returns
    -------
    str or None
        The address; None where the picture cannot be read.
    """
    picture = read_picture(path)
    if picture is None:
        return None
    picture.thumbnail((side_px, side_px))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
