"""The scores of test rows, kept in a file for metrics to come."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from decaf.errors import ConfigError, DataError
from decaf.metrics.named import METRICS, asked_metrics
from decaf.types import FloatArray, IntArray, label_kind
from decaf.whole_files import whole_file


@dataclass(frozen=True, eq=False)
class KeptScores:
    """What a head says of the test rows of one split.

    Attributes
    ----------
    ids : numpy.ndarray
        ``(n,)`` name of each image.
    labels : numpy.ndarray
        ``(n,)`` class numbers, or ``(n, n_classes)`` of 1, -1 and 0 (not counted).
    scores : numpy.ndarray
        ``(n, len(classes))``, or ``(n,)`` where there are two classes.
    classes : numpy.ndarray
        Class numbers of the columns.
    class_names : numpy.ndarray
        Name of each class number.
    probabilities : numpy.ndarray
        ``(n, len(classes))``; empty where there are none.
    groups : numpy.ndarray
        ``(n,)`` what each row belongs to; empty where rows stand alone.
    facts : dict
        What was evaluated: the columns of the results that identify it, its split and its key.
    """

    ids: npt.NDArray[Any]
    labels: IntArray
    scores: FloatArray
    classes: IntArray
    class_names: npt.NDArray[Any]
    probabilities: FloatArray
    groups: npt.NDArray[Any]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def measure(self, metric: str) -> float:
        """Return a metric of these scores, by one of the names that ``--metrics`` takes.

        Raises
        ------
        ConfigError
            There is no such metric, it does not measure such labels, or it takes probabilities and
            there are none.
        """
        (key,) = asked_metrics([metric], label_kind(self.labels), len(self.class_names))
        of_probabilities = METRICS[key].of == "probabilities"
        if of_probabilities and not self.probabilities.size:
            raise ConfigError(
                f"asked for the metric {metric} of {self.facts.get('head', 'scores')}, found "
                "scores that are no probabilities; choose another"
            )
        given = self.probabilities if of_probabilities else self.scores
        return METRICS[key].score(self.labels, given, self.classes)

    def write(self, path: Path) -> None:
        """Write them as a compressed ``.npz`` file, whole or not at all.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        arrays = {name: value for name, value in vars(self).items() if name != "facts"}
        for name in ("ids", "class_names", "groups"):  # objects would be pickled
            arrays[name] = arrays[name].astype(np.str_)
        facts = np.array(json.dumps(dict(self.facts)))
        with whole_file(path) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays, facts=facts)


def read_scores(path: Path) -> KeptScores:
    """Read the scores that ``decaf evaluate --keep-scores`` wrote.

    Parameters
    ----------
    path : pathlib.Path
        ``NAME-scores/KEY-SEED-SPLIT.npz``.

    Returns
    -------
    KeptScores
        The scores.

    Raises
    ------
    DataError
        If it is not there, or is no such file.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        return KeptScores(**{**found, "facts": json.loads(str(found["facts"]))})
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"scores {path} cannot be read ({error}); run the same decaf evaluate --keep-scores "
            "again, which writes what is missing"
        ) from error
