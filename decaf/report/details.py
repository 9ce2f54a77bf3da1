"""Results of single classes: which does well, which is taken for which."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from decaf.errors import ConfigError, DataError
from decaf.metrics.kept_scores import KeptScores
from decaf.metrics.probabilities import Reliability, reliability
from decaf.results import Aggregate, ResultTable, read_beside, read_results
from decaf.results.files import find_scores
from decaf.results.predictions import errors


@dataclass(frozen=True)
class ClassValue:
    """One class of one row of results, over splits.

    Attributes
    ----------
    name : str
        The class.
    mean, std : float
        Fractions; `std` is nan for one split.
    """

    name: str
    mean: float
    std: float


@dataclass(frozen=True)
class ConfusedPair:
    """A class that is taken for another.

    Attributes
    ----------
    name, predicted : str
        The class and what it is taken for.
    n : int
        Test rows, summed over splits.
    share : float
        Of the class's test rows.
    example : str
        Id of one of these images.
    """

    name: str
    predicted: str
    n: int
    share: float
    example: str


@dataclass(frozen=True)
class Details:
    """Results with those of single classes.

    Attributes
    ----------
    table : ResultTable
        The results.
    classes, confusion : pandas.DataFrame
        As :func:`decaf.results.read_beside` gives them; empty where there are none.
    paths : tuple of pathlib.Path
        The files of results.
    """

    table: ResultTable
    classes: pd.DataFrame
    confusion: pd.DataFrame
    paths: tuple[Path, ...] = ()

    @classmethod
    def read(cls, paths: Sequence[Path]) -> "Details":
        """Read results and what stands beside them; see :func:`decaf.results.read_results`."""
        return cls(
            read_results(paths),
            read_beside(paths, "classes"),
            read_beside(paths, "confusion"),
            tuple(paths),
        )

    def class_values(self, row: Aggregate) -> tuple[ClassValue, ...]:
        """Return the classes of a row in its headline metric, best first."""
        rows = _of(self.classes, row)
        if rows.empty:
            return ()
        rows = rows[rows["metric"] == row.metric]
        over = rows.groupby("class", sort=False)["value"].agg(["mean", "std"])
        values = [ClassValue(str(name), float(m), float(s)) for name, m, s in over.itertuples()]
        return tuple(sorted(values, key=lambda value: (-value.mean, value.name)))

    def confusion_matrix(self, row: Aggregate) -> tuple[tuple[str, ...], np.ndarray]:
        """Return a row's class names and ``(n_classes, n_classes)`` counts, true classes down."""
        rows = _of(self.confusion, row)
        if rows.empty:
            return (), np.zeros((0, 0), dtype=np.int64)
        names = tuple(sorted({*rows["class"], *rows["predicted"]}))
        number = {name: index for index, name in enumerate(names)}
        counts = np.zeros((len(names), len(names)), dtype=np.int64)
        np.add.at(counts, (rows["class"].map(number), rows["predicted"].map(number)), rows["n"])
        return names, counts

    def confused_pairs(self, row: Aggregate, most: int = 20) -> tuple[ConfusedPair, ...]:
        """Return the most frequent mistakes of a row."""
        rows = _of(self.confusion, row)
        if rows.empty:
            return ()
        total = rows.groupby("class")["n"].sum()
        wrong = rows[rows["class"] != rows["predicted"]]
        order = wrong.sort_values(["n", "class", "predicted"], ascending=[False, True, True])
        return tuple(
            ConfusedPair(name, predicted, int(n), float(n / total[name]), example)
            for name, predicted, n, example in order[["class", "predicted", "n", "example"]]
            .head(most)
            .itertuples(index=False)
        )

    def reliability(self, row: Aggregate) -> Reliability | None:
        """Return accuracy against confidence of a row, over all splits, if scores are kept."""
        known = [one for one in self._kept(row) if one.probabilities.size]
        if not known or known[0].labels.ndim == 2:
            return None
        labels, p = (np.concatenate([getattr(one, what) for one in known])
                     for what in ("labels", "probabilities"))  # fmt: skip
        return reliability(labels, p, known[0].classes)

    def errors(self, row: Aggregate) -> pd.DataFrame:
        """Return the images that a row gets wrong, see `decaf.results.predictions.errors`."""
        return errors(self._kept(row))

    def _kept(self, row: Aggregate) -> list[KeptScores]:
        """Return the scores of a row's splits, as far as they are kept."""
        of_row = [result for result in self.table if result.key == row.key]
        return [one for one in (find_scores(self.paths, r) for r in of_row) if one is not None]


def best_row(
    table: ResultTable,
    layer: str | None = None,
    head: str | None = None,
    shots: int | None = None,
) -> Aggregate:
    """Return the row with the highest mean, among those of a layer, head or number of shots.

    Raises
    ------
    ConfigError
        There is no such row.
    """
    rows = table.aggregates()
    asked = {"layer": layer, "head": head, "shots": shots}
    named = {name: value for name, value in asked.items() if value is not None}
    fitting = [row for row in rows if all(getattr(row, n) == v for n, v in named.items())]
    if not fitting:
        found = sorted({f"{row.layer} {row.head}" for row in rows})
        raise ConfigError(
            f"asked for {', '.join(f'{n} {v}' for n, v in named.items())}, found no such results; "
            f"choose from: {', '.join(found)}"
        )
    return max(fitting, key=lambda row: row.mean)


def need(found: object, what: str, row: Aggregate) -> None:
    """Say that results have no values of single classes.

    Raises
    ------
    DataError
        `found` is empty.
    """
    if not found:
        raise DataError(
            f"asked for {what} of {row.dataset} {row.layer} {row.head}, found none beside the "
            "results; run decaf evaluate again and keep its files together"
        )


def _of(frame: pd.DataFrame, row: Aggregate) -> pd.DataFrame:
    if frame.empty:
        return frame
    return frame[frame["key"] == row.key]
