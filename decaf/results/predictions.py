"""What a head says of single images, from the scores that are kept: errors, suspect labels."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from decaf.escapes import csv_cell, csv_path
from decaf.metrics.kept_scores import KeptScores
from decaf.results.files import beside, find_scores
from decaf.results.rows import Result
from decaf.types import FloatArray, label_kind
from decaf.whole_files import write_whole

_OF_IMAGE = ("path", "split", "true", "predicted", "score", "right", "margin", "suspect")
_SAID = ("backbone", "weights", "layer", "head", "shots", "key")
"""What tells the rows of a table apart, after what is said of an image."""


def predictions_path(path: Path) -> Path:
    """Return where the predictions for test images are written, beside the results `path`."""
    return beside(path, "predictions")


def write_predictions(path: Path, results: Iterable[Result]) -> Path:
    """Write what is predicted for each test image of results whose scores are kept.

    Parameters
    ----------
    path : pathlib.Path
        ``NAME.csv`` of the results.
    results : iterable of Result
        The results; those without kept scores are passed over.

    Returns
    -------
    pathlib.Path
        ``NAME-predictions.csv`` with the columns ``path,split,true,predicted,score``, then
        ``right,margin,suspect`` of `predictions`, then what tells rows of the table apart.

    Raises
    ------
    DataError
        If a file of scores cannot be read, or this one cannot be written.
    """
    frames = []
    for result in results:
        kept = find_scores([path], result)
        if kept is not None:
            said = {name: getattr(result, name) for name in _SAID}
            frames.append(predictions(kept).assign(split=result.split, **said))
    frame = pd.concat(frames) if frames else pd.DataFrame(columns=["path"])
    frame = frame.reindex(columns=[*_OF_IMAGE, *_SAID])
    frame["path"] = frame["path"].map(csv_path)
    frame = frame.map(lambda cell: csv_cell(cell) if isinstance(cell, str) else cell)
    write_whole(predictions_path(path), frame.to_csv(index=False, lineterminator="\n"))
    return predictions_path(path)


def predictions(kept: KeptScores) -> pd.DataFrame:
    """Return what a head says of each test row of a split.

    A label is suspect where the head is as sure of another class as it is, on average, of images
    that bear that class's label [1]_. It saw none of these images in training.

    Parameters
    ----------
    kept : KeptScores
        Scores of one split's test rows.

    Returns
    -------
    pandas.DataFrame
        A row an image: `path`; `true`, its class, several joined by ``|``; `predicted`, the class
        of the highest score; `score`, its probability, or its score where there is none; `right`,
        whether that is the true one; `margin`, by how much its score is above that of the true
        class, 0 where it is right; `suspect`, whether the label is. Where numbers are predicted,
        `true` and `predicted` are such, `margin` is their difference, and the others are missing.

    References
    ----------
    .. [1] Northcutt, Jiang and Chuang, Confident learning, JAIR 70, 2021, section 3.
    """
    if label_kind(kept.labels) == "number":
        return _numbers(kept)
    scores = _columns(kept.probabilities if kept.probabilities.size else kept.scores)
    truth = _truth(kept)
    rows = np.arange(len(scores))
    found = scores.argmax(1)
    own = np.where(truth, scores, -np.inf).max(1, initial=-np.inf)
    right = truth[rows, found]
    if kept.labels.ndim == 2:
        right |= ~(kept.labels == 1).any(1)  # of an image without a class nothing is wrong
    best = scores[rows, found]
    # a class that was not trained on has no score, which is as low as the lowest
    own = np.where(np.isfinite(own), own, scores.min(1))
    count = truth.sum(0)
    typical = np.where(truth, scores, 0).sum(0) / np.maximum(count, 1)
    sure = (best >= typical[found]) & (count[found] > 0)
    names = kept.class_names[kept.classes]
    return pd.DataFrame(
        {
            "path": kept.ids,
            "true": _names(kept),
            "predicted": names[found],
            "score": best,
            "right": right,
            "margin": np.where(right, 0, best - own),
            "suspect": ~right & sure,
        }
    )


def _numbers(kept: KeptScores) -> pd.DataFrame:
    """Return what is said where a number is predicted: how far it is off, and no right or wrong."""
    true, predicted = kept.labels[:, 0], kept.scores[:, 0]
    off = np.abs(predicted - true)
    return pd.DataFrame({"path": kept.ids, "true": true, "predicted": predicted, "margin": off})


def errors(kept: Sequence[KeptScores]) -> pd.DataFrame:
    """Return the images that a head gets wrong, over splits, the surest errors first.

    Returns
    -------
    pandas.DataFrame
        A row an image: `path`, `true`, `predicted` (the most frequent error), `n_wrong` of
        `n_tested` splits, mean `margin` of the errors, and `suspect`: it is so in each split in
        which it is tested. Of numbers none.
    """
    if not kept or label_kind(kept[0].labels) == "number":
        return pd.DataFrame()
    frame = pd.concat([predictions(one) for one in kept])
    tested = frame.groupby("path").agg(n_tested=("path", "size"), suspect=("suspect", "all"))
    wrong = frame[~frame["right"]]
    by = wrong.groupby("path")
    found = by.agg(true=("true", "first"), n_wrong=("path", "size"), margin=("margin", "mean"))
    found["predicted"] = by["predicted"].agg(lambda said: said.mode().iloc[0])
    found = found.join(tested).reset_index()
    return found.sort_values(["suspect", "margin", "path"], ascending=[False, False, True])


def _columns(scores: FloatArray) -> FloatArray:
    """Return a column for each class; of two classes one score is kept."""
    return np.stack([-scores, scores], 1) if scores.ndim == 1 else scores


def _truth(kept: KeptScores) -> npt.NDArray[np.bool_]:
    """Return ``(n, len(classes))`` whether an image bears a class."""
    several = kept.labels.ndim == 2
    found: npt.NDArray[np.bool_] = (
        kept.labels[:, kept.classes] == 1 if several else kept.labels[:, None] == kept.classes
    )
    return found


def _names(kept: KeptScores) -> list[str]:
    if kept.labels.ndim == 1:
        return list(kept.class_names[kept.labels])
    return ["|".join(kept.class_names[np.flatnonzero(row == 1)]) for row in kept.labels]
