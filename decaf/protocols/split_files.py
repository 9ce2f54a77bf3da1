"""Fixed split files: splits written down so that they can be published and replayed."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from decaf.errors import DataError
from decaf.types import ImageDataset, IntArray, Split
from decaf.whole_files import write_whole

FORMAT = "decaf-splits-1"


def write_splits(path: Path, dataset: ImageDataset, splits: Sequence[Split]) -> None:
    """Write splits as a JSON file of row numbers.

    Parameters
    ----------
    path : pathlib.Path
        File to write.
    dataset : ImageDataset
        The table that the row numbers belong to; a hash of its image ids is written along.
    splits : sequence of Split
        The splits, in order.

    Raises
    ------
    DataError
        If it cannot be written.
    """
    content = {
        "format": FORMAT,
        "dataset": dataset.name,
        "image_ids_sha256": _image_ids_sha256(dataset),
        "splits": [
            {
                "seed": split.seed,
                "shots": split.shots,
                "train": split.train.tolist(),
                "test": split.test.tolist(),
                "inner": [[fit.tolist(), val.tolist()] for fit, val in split.inner],
                "labels": None if split.labels is None else split.labels.tolist(),
            }
            for split in splits
        ],
    }
    write_whole(path, json.dumps(content) + "\n")


def read_splits(path: Path, dataset: ImageDataset) -> tuple[Split, ...]:
    """Read splits that :func:`write_splits` wrote.

    Parameters
    ----------
    path : pathlib.Path
        The JSON file.
    dataset : ImageDataset
        The table to use them on; it must hold the same images in the same order.

    Returns
    -------
    tuple of Split
        The splits, in order.

    Raises
    ------
    DataError
        If the file is not a split file, or was made for other images.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise DataError(f"split file {path} has format {content['format']}; need {FORMAT}")
        found, splits = content["image_ids_sha256"], tuple(map(_split, content["splits"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"split file {path} cannot be read ({error!r}); write it with decaf's write_splits"
        ) from error
    if found != _image_ids_sha256(dataset):
        raise DataError(
            f"split file {path} was made for {content['dataset']} with other images than "
            f"{dataset.name} has here; use it with the same images"
        )
    return splits


def _split(record: dict[str, Any]) -> Split:
    return Split(
        train=_rows(record["train"]),
        test=_rows(record["test"]),
        inner=tuple((_rows(fit), _rows(val)) for fit, val in record["inner"]),
        seed=int(record["seed"]),
        shots=record["shots"],
        labels=None if record["labels"] is None else np.asarray(record["labels"], np.int8),
    )


def _rows(numbers: list[int]) -> IntArray:
    return np.asarray(numbers, np.int64)


def _image_ids_sha256(dataset: ImageDataset) -> str:
    return hashlib.sha256("\n".join(dataset.image_ids).encode()).hexdigest()
