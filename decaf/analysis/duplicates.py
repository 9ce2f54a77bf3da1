"""Images that stand in a data set more than once, as the same file or nearly the same image.

Equal files are found by their digest. Other copies (saved again, scaled, mirrored) are looked for
among the nearest neighbours in feature space, and taken for copies only where the pixels, scaled
to a small size, agree too: features of two images of one thing can be as near as those of one
image saved twice. Where the images are not at hand, only features nearer than that are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError
from decaf.retrieval.exact import nearest, unit_rows
from decaf.types import FloatArray, IntArray

Kind = Literal["same file", "same image", "mirrored", "near features"]

N_NEIGHBOURS = 10
"""Nearest neighbours of each image that are looked at."""

LEAST_AGREEMENT = 0.97
"""Correlation of the pixels from which two images are taken for one."""

NEAREST_FEATURES = 0.98
"""Cosine from which features alone are called near, where the pixels are not at hand."""

Thumbnail = Callable[[int], FloatArray | None]
"""Gives a row's image, scaled to ``(height, width, 3)`` of one size for all; None if unusable."""


@dataclass(frozen=True)
class DuplicatePair:
    """Two rows that show the same image.

    Attributes
    ----------
    first, second : int
        Row numbers, ``first < second``.
    kind : str
        ``"same file"``, ``"same image"``, ``"mirrored"`` or ``"near features"``.
    similarity : float
        Cosine of the features.
    agreement : float
        Correlation of the pixels; nan where they were not looked at.
    """

    first: int
    second: int
    kind: Kind
    similarity: float
    agreement: float


def equal_files(sha256: npt.NDArray[np.uint8], rows: IntArray) -> list[tuple[int, int]]:
    """Return rows whose files are equal byte by byte.

    Parameters
    ----------
    sha256 : numpy.ndarray
        ``(n_images, 32)`` digests.
    rows : numpy.ndarray
        Rows to look at, ascending.

    Returns
    -------
    list of (int, int)
        The first row of each group of equal files, with every other one of it.
    """
    firsts: dict[bytes, int] = {}
    pairs = []
    for row in rows.tolist():
        first = firsts.setdefault(sha256[row].tobytes(), row)
        if first != row:
            pairs.append((first, row))
    return pairs


def in_both(sha256: npt.NDArray[np.uint8], train: IntArray, test: IntArray) -> IntArray:
    """Return the test rows whose file also trains.

    Parameters
    ----------
    sha256 : numpy.ndarray
        ``(n_images, 32)`` digests.
    train, test : numpy.ndarray
        Row numbers.

    Returns
    -------
    numpy.ndarray
        Some of `test`, in its order.
    """
    trained = {sha256[row].tobytes() for row in train.tolist()}
    return test[[sha256[row].tobytes() in trained for row in test.tolist()]]


def duplicate_pairs(
    X: FloatArray,
    rows: IntArray,
    sha256: npt.NDArray[np.uint8],
    thumbnail: Thumbnail | None = None,
    *,
    mirrored: bool = False,
) -> list[DuplicatePair]:
    """Look for images that stand in a data set more than once.

    Parameters
    ----------
    X : numpy.ndarray
        ``(n_rows, n_features)`` features of `rows`.
    rows : numpy.ndarray
        ``(n_rows,)`` ascending row numbers.
    sha256 : numpy.ndarray
        ``(n_images, 32)`` digests of the image files.
    thumbnail : callable, optional
        Gives a row's image in small; without it only features are compared.
    mirrored : bool
        Look for mirror images too; this needs `thumbnail`.

    Returns
    -------
    list of DuplicatePair
        Equal files first, then by agreement, or by similarity, from the nearest on. A group of
        equal files is listed by pairs with its first row, and stands in other pairs by it.

    Raises
    ------
    ConfigError
        Mirror images are asked for without images.
    """
    if mirrored and thumbnail is None:
        raise ConfigError("asked for mirror images, found no images; give their folder")
    unit = unit_rows(X)
    at = {row: index for index, row in enumerate(rows.tolist())}
    equal = equal_files(sha256, rows)
    copies = {second for _, second in equal}
    pairs = [
        DuplicatePair(a, b, "same file", float(unit[at[a]] @ unit[at[b]]), 1.0) for a, b in equal
    ]
    once = np.array([index for row, index in at.items() if row not in copies], dtype=np.int64)
    judge = _Pixels(thumbnail, mirrored=mirrored) if thumbnail else None
    near = [
        pair
        for i, j, similarity in _neighbours(unit[once])
        if (pair := _judged(int(rows[once[i]]), int(rows[once[j]]), similarity, judge))
    ]
    return pairs + sorted(near, key=lambda p: -(p.agreement if judge else p.similarity))


def _neighbours(unit: FloatArray) -> list[tuple[int, int, float]]:
    """Return pairs of near rows of unit vectors with their cosine, each pair once."""
    k = min(N_NEIGHBOURS, len(unit) - 1)
    if k < 1:
        return []
    near = nearest(unit, unit, k + 1).without(np.arange(len(unit)))
    nearest_pairs = {
        (min(i, j), max(i, j)): 1 - distance
        for i, (row, line) in enumerate(
            zip(near.rows.tolist(), near.distances.tolist(), strict=True)
        )
        for j, distance in zip(row, line, strict=True)
    }
    return [(i, j, cosine) for (i, j), cosine in nearest_pairs.items()]


def _judged(a: int, b: int, similarity: float, judge: "_Pixels | None") -> DuplicatePair | None:
    if judge is None:
        nan = float("nan")
        near = similarity >= NEAREST_FEATURES
        return DuplicatePair(a, b, "near features", similarity, nan) if near else None
    kind, agreement = judge(a, b)
    return (
        DuplicatePair(a, b, kind, similarity, agreement) if agreement >= LEAST_AGREEMENT else None
    )


class _Pixels:
    """Compares two rows' images, each read once."""

    def __init__(self, thumbnail: Thumbnail, *, mirrored: bool) -> None:
        self._thumbnail = thumbnail
        self._mirrored = mirrored
        self._read: dict[int, tuple[FloatArray, FloatArray] | None] = {}

    def __call__(self, a: int, b: int) -> tuple[Kind, float]:
        first, second = self._both(a), self._both(b)
        if first is None or second is None:
            return "same image", float("nan")
        straight = float(np.vdot(first[0], second[0]))
        if not self._mirrored:
            return "same image", straight
        flipped = float(np.vdot(first[0], second[1]))
        return ("same image", straight) if straight >= flipped else ("mirrored", flipped)

    def _both(self, row: int) -> tuple[FloatArray, FloatArray] | None:
        if row not in self._read:
            image = self._thumbnail(row)
            sides = None if image is None else (image, image[:, ::-1])
            self._read[row] = None if sides is None else (_standard(sides[0]), _standard(sides[1]))
        return self._read[row]


def _standard(image: FloatArray) -> FloatArray:
    centred: FloatArray = image.astype(np.float32) - image.mean(dtype=np.float32)
    norm = np.linalg.norm(centred)
    return centred / norm if norm > 0 else centred
