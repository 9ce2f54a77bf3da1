"""The digest that says whether two tables of images are the same."""

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.types import ImageDataset

_IDS_AT_ONCE = 4096


def dataset_digest(dataset: ImageDataset) -> str:
    """Return the SHA-256 of everything in a table but its folder and the files' sizes.

    Of what images show a size says little: stores compare the contents themselves.

    Parameters
    ----------
    dataset : ImageDataset
        A table; the order of its rows counts.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    # [name, class names, image ids] in JSON, a few ids at a time: there may be many millions
    head = json.dumps([dataset.name, list(dataset.class_names), []], ensure_ascii=False)
    digest = hashlib.sha256(head.removesuffix("]]").encode())
    for first in range(0, len(dataset.image_ids), _IDS_AT_ONCE):
        some = json.dumps(dataset.image_ids[first : first + _IDS_AT_ONCE], ensure_ascii=False)
        digest.update(f"{', ' * (first > 0)}{some[1:-1]}".encode())
    digest.update(b"]]")
    for column in (dataset.labels, dataset.official, dataset.boxes):
        if column is None:
            digest.update(b"none;")
        else:
            _add(digest, column)
    for group in dataset.groups or ():
        digest.update(f"{len(group)}:{group}".encode())
    for domain in dataset.domains or ():
        digest.update(f"domain {len(domain)}:{domain}".encode())
    for column in (dataset.image_labels, dataset.image_boxes):
        if column is not None:
            _add(digest, column)
    return digest.hexdigest()


def _add(digest: Any, column: npt.NDArray[Any]) -> None:
    digest.update(f"{column.dtype.str}{column.shape};".encode())
    digest.update(np.ascontiguousarray(column).tobytes())
