"""Results as one table: aggregated over splits, as frames, to tidy CSV files and back."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from decaf.errors import DataError
from decaf.results.files import BESIDE, beside, read_frame, read_row, require_csv, write_frames
from decaf.results.predictions import predictions_path
from decaf.results.rows import OWN_FILES, Aggregate, Result, aggregate

_NUMBERS = {"split": "int64", "value": "float64", "n": "int64"}
_NET = ["backbone", "weights", "weights_sha256", "layer", "pool", "view", "normalize"]
_MAYBE = ("C", "train_share", "boot_low", "boot_high")
_SHOWN = ["dataset", "backbone", "layer", "head", "protocol", "shots", "metric", "mean", "std"]
_ROW = ["key", "dataset", *_NET, "head", "protocol", "shots", "split"]


@dataclass(frozen=True)
class ResultTable:
    """Results of an evaluation.

    Attributes
    ----------
    results : tuple of Result
        One per data set, backbone, layer, head, protocol, number of shots and split.
    """

    results: tuple[Result, ...]

    def __repr__(self) -> str:
        return self.to_frame()[[*_SHOWN, "ci95_low", "ci95_high"]].to_string(index=False)

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def aggregates(self) -> tuple[Aggregate, ...]:
        """Return the results over splits, in order of first appearance."""
        groups: dict[str, list[Result]] = {}
        for r in self.results:
            groups.setdefault(r.key, []).append(r)
        return tuple(aggregate(group) for group in groups.values())

    def to_frame(self) -> pd.DataFrame:
        """Return one row per layer and head (and number of shots), over splits.

        Returns
        -------
        pandas.DataFrame
            The columns are the fields of :class:`Aggregate`, then ``<metric>_mean`` and
            ``<metric>_std`` of each metric that was asked for beside; figures are fractions.
        """
        rows = self.aggregates()
        frame = _frame(Aggregate, rows)
        for name in _asked(rows):
            found = [next((one[1:] for one in r.more if one[0] == name), (None,) * 2) for r in rows]
            frame[[f"{name}_mean", f"{name}_std"]] = found
        return frame

    def splits_frame(self) -> pd.DataFrame:
        """Return one row per split.

        Returns
        -------
        pandas.DataFrame
            The columns are the fields of :class:`Result` but for `per_class` and `confusion`,
            then one for each metric that was asked for beside, and the `key` of the row that the
            split belongs to.
        """
        frame = _frame(Result, self.results).drop(columns=list(OWN_FILES))
        for name in _asked(self.results):
            frame[name] = [dict(r.more).get(name) for r in self.results]
        return frame.assign(key=[r.key for r in self.results])

    def classes_frame(self) -> pd.DataFrame:
        """Return one row per split, metric and class.

        Returns
        -------
        pandas.DataFrame
            The columns that name the split, then `metric`, `class` and `value`.
        """
        return self._own_frame("per_class", ["metric", "class", "value"])

    def confusion_frame(self) -> pd.DataFrame:
        """Return how often each class was taken for each in each split.

        Returns
        -------
        pandas.DataFrame
            The columns that name the split, then `class`, `predicted`, `n` and `example`: an
            image.
        """
        return self._own_frame("confusion", ["class", "predicted", "n", "example"])

    def _own_frame(self, what: str, columns: list[str]) -> pd.DataFrame:
        rows = [
            [*named, *one]
            for r in self.results
            for named in [[getattr(r, name) for name in _ROW]]
            for one in getattr(r, what)
        ]
        return pd.DataFrame(rows, columns=[*_ROW, *columns]).astype({"shots": "Int64"})

    def to_csv(self, path: Path) -> tuple[Path, ...]:
        """Write the aggregate to `path` and the splits beside it.

        Parameters
        ----------
        path : pathlib.Path
            ``NAME.csv``; ``NAME-splits.csv`` and, where there are values of single classes,
            ``NAME-classes.csv`` and ``NAME-confusion.csv`` are written beside it, in place of
            those that are there. Each file is whole or not there, and says which belong together.

        Returns
        -------
        tuple of pathlib.Path
            The files written.

        Raises
        ------
        ConfigError
            If the name does not end in ``.csv``.
        DataError
            If a file cannot be written.
        """
        require_csv(path)
        frames = {"": self.to_frame(), "splits": self.splits_frame()}
        if any(r.per_class for r in self.results):
            frames["classes"] = self.classes_frame()
        if any(r.confusion for r in self.results):
            frames["confusion"] = self.confusion_frame()
        return write_frames(path, frames)

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
            If a file is missing, is cut short, is not decaf's or belongs to another table.
        """
        splits = beside(path, "splits")
        frame = read_frame(splits)
        read_frame(path, frame["table"][0])
        rows = frame.to_dict("records")
        return cls(tuple(read_row({str(k): v for k, v in row.items()}, splits) for row in rows))


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
        (result.key, result.split, result.seed): result
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
        The rows of all the files ``NAME-<what>.csv`` that are there; of a split that stands in
        several, those of the last file. Confusions are summed over splits. Every column but
        `split`, `value` and `n` is text, ``""`` where there are no shots.

    Raises
    ------
    DataError
        If a file is cut short or belongs to another table.
    """
    frames = [
        read_frame(path, read_frame(beside(own, "splits"))["table"][0])
        for own in _own(paths)
        for path in [beside(own, what)]
        if path.is_file()
    ]
    if not frames:
        return pd.DataFrame()
    every = pd.concat([frame.assign(file=number) for number, frame in enumerate(frames)])
    last = every.groupby(["key", "split"])["file"].transform("max") == every["file"]
    kept = every[last].drop(columns=["file", "table"]).reset_index(drop=True)
    kept = kept.astype({name: kind for name, kind in _NUMBERS.items() if name in kept})
    if what != "confusion":
        return kept
    cell = [name for name in kept if name not in {"split", "n", "example"}]
    cells = kept.groupby(cell, sort=False, as_index=False)
    return cells.agg(n=("n", "sum"), example=("example", "first"))


def _asked(rows: Sequence[Result] | Sequence[Aggregate]) -> list[str]:
    """Return the metrics that any row has beside its own."""
    return list(dict.fromkeys(one[0] for row in rows for one in row.more))


def _own(paths: Sequence[Path]) -> list[Path]:
    """Return the files of results, without what other commands and options wrote beside them."""
    written = {beside(path, what) for path in paths for what in BESIDE}
    written |= {predictions_path(path) for path in paths}
    return [path for path in dict.fromkeys(paths) if path not in written and not _of_tune(path)]


def _of_tune(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.readline().startswith((b"setting,", b"split,setting,"))
    except OSError:  # said where it is read
        return False


def _frame(kind: type[Aggregate] | type[Result], rows: tuple[Any, ...]) -> pd.DataFrame:
    columns = [field.name for field in fields(kind) if field.name != "more"]
    frame = pd.DataFrame([asdict(row) for row in rows], columns=columns)
    frame["notes"] = [" | ".join(row.notes) for row in rows]
    return frame.astype({"shots": "Int64", **dict.fromkeys(_MAYBE, "float64")})
