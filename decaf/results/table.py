"""Results as one table: aggregated over splits, as frames, to tidy CSV files and back."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from decaf.errors import DataError
from decaf.results.files import beside, read_row
from decaf.results.rows import OWN_FILES, Aggregate, Result, aggregate, row_key
from decaf.whole_files import write_whole

_NUMBERS = {"split": "int64", "value": "float64", "n": "int64"}
_ROW = ["dataset", "backbone", "layer", "head", "protocol", "shots"]


@dataclass(frozen=True)
class ResultTable:
    """Results of an evaluation.

    Attributes
    ----------
    results : tuple of Result
        One per data set, backbone, layer, head, protocol, number of shots and split.
    """

    results: tuple[Result, ...]

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def aggregates(self) -> tuple[Aggregate, ...]:
        """Return the results over splits, in order of first appearance."""
        groups: dict[tuple[Any, ...], list[Result]] = {}
        for r in self.results:
            groups.setdefault(row_key(r), []).append(r)
        return tuple(aggregate(group) for group in groups.values())

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layer and head (and number of shots), over splits.

        Returns
        -------
        pandas.DataFrame
            The columns are the fields of :class:`Aggregate`; figures are fractions.
        """
        return _frame(Aggregate, self.aggregates())

    def splits_frame(self) -> pd.DataFrame:
        """Return one row per split.

        Returns
        -------
        pandas.DataFrame
            The columns are the fields of :class:`Result` but for `per_class` and `confusion`.
        """
        return _frame(Result, self.results).drop(columns=list(OWN_FILES))

    def classes_frame(self) -> pd.DataFrame:
        """Return one row per split, metric and class.

        Returns
        -------
        pandas.DataFrame
            The columns that name the split, then `metric`, `class` and `value`.
        """
        return self._own_frame("per_class", [*_ROW, "split"], ["metric", "class", "value"])

    def confusion_frame(self) -> pd.DataFrame:
        """Return how often each class was taken for each, over splits.

        Returns
        -------
        pandas.DataFrame
            The columns that name the row, then `class`, `predicted`, `n` and `example`: a picture.
        """
        cell = [*_ROW, "class", "predicted"]
        frame = self._own_frame("confusion", _ROW, ["class", "predicted", "n", "example"])
        grouped = frame.groupby(cell, sort=False, dropna=False, as_index=False)
        return grouped.agg(n=("n", "sum"), example=("example", "first"))

    def _own_frame(self, what: str, key: list[str], columns: list[str]) -> pd.DataFrame:
        rows = [
            [*(getattr(r, name) for name in key), *one]
            for r in self.results
            for one in getattr(r, what)
        ]
        return pd.DataFrame(rows, columns=[*key, *columns]).astype({"shots": "Int64"})

    def to_csv(self, path: Path) -> tuple[Path, ...]:
        """Write the aggregate to `path` and the splits beside it.

        Parameters
        ----------
        path : pathlib.Path
            ``NAME.csv``; ``NAME-splits.csv`` and, where there are values of single classes,
            ``NAME-classes.csv`` and ``NAME-confusion.csv`` are written beside it. Each file is
            whole or not there.

        Returns
        -------
        tuple of pathlib.Path
            The files written.
        """
        frames = {path: self.to_frame(), beside(path, "splits"): self.splits_frame()}
        if any(r.per_class for r in self.results):
            frames[beside(path, "classes")] = self.classes_frame()
        if any(r.confusion for r in self.results):
            frames[beside(path, "confusion")] = self.confusion_frame()
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, frame in frames.items():
            write_whole(target, frame.to_csv(index=False, lineterminator="\n"))
        return tuple(frames)

    @classmethod
    def from_csv(cls, path: Path) -> "ResultTable":
        """Read the results that :meth:`to_csv` wrote.

        Parameters
        ----------
        path : pathlib.Path
            ``NAME.csv``; the splits are read from ``NAME-splits.csv`` beside it.

        Returns
        -------
        ResultTable
            The results, without those of single classes; see :func:`read_beside`.

        Raises
        ------
        DataError
            If the file is missing or is not decaf's.
        """
        path = beside(path, "splits")
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return cls(tuple(read_row(row) for row in csv.DictReader(file)))
        except (OSError, KeyError, ValueError) as error:
            raise DataError(
                f"results {path} cannot be read ({error!r}); give the NAME.csv that decaf evaluate "
                "wrote, with NAME-splits.csv beside it"
            ) from error


def read_results(paths: Sequence[Path]) -> ResultTable:
    """Read the results of several evaluations as one table.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Files ``NAME.csv``; those that are written beside them are passed over, so that
        ``results/*.csv`` will do.

    Returns
    -------
    ResultTable
        The results of all, in the order of the files; a split that stands in several of them
        counts once, as the last says it.

    Raises
    ------
    DataError
        If there is no file of results, or one is not decaf's.
    """
    own = _own(paths)
    if not own:
        raise DataError("asked to read results, found no file; give the CSVs of decaf evaluate")
    once = {
        (*row_key(result), result.split, result.seed): result
        for path in own
        for result in ResultTable.from_csv(path)
    }
    return ResultTable(tuple(once.values()))


def read_beside(paths: Sequence[Path], what: str) -> pd.DataFrame:
    """Read the results of single classes that stand beside results.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        As for :func:`read_results`.
    what : str
        ``"classes"`` or ``"confusion"``.

    Returns
    -------
    pandas.DataFrame
        The rows of all the files ``NAME-<what>.csv`` that are there, each once; every column but
        `split`, `value` and `n` as text, ``""`` where there are no shots.
    """
    found = [path for path in (beside(path, what) for path in _own(paths)) if path.is_file()]
    # as text, for a class may be called "1" or "nan"
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in found]
    if not frames:
        return pd.DataFrame()
    numbers = {name: kind for name, kind in _NUMBERS.items() if name in frames[0].columns}
    key = [name for name in frames[0].columns if name not in {"value", "n", "example"}]
    return pd.concat(frames).drop_duplicates(key, keep="last", ignore_index=True).astype(numbers)


def _own(paths: Sequence[Path]) -> list[Path]:
    written = {beside(path, what) for path in paths for what in ("splits", "classes", "confusion")}
    return [path for path in dict.fromkeys(paths) if path not in written]


def _frame(kind: type[Aggregate] | type[Result], rows: tuple[Any, ...]) -> pd.DataFrame:
    columns = [field.name for field in fields(kind)]
    frame = pd.DataFrame([asdict(row) for row in rows], columns=columns)
    frame["notes"] = [" | ".join(row.notes) for row in rows]
    return frame.astype({"shots": "Int64", "C": "float64"})
