"""Results: one row per split, aggregated over splits only here, written as tidy CSV files."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from statistics import median_low
from typing import Any

import pandas as pd

from decaf.errors import DataError
from decaf.metrics import summary
from decaf.published import lookup


@dataclass(frozen=True)
class Result:
    """How one head did on one split.

    Attributes
    ----------
    dataset, backbone, weights, weights_sha256, layer, head : str
        What was evaluated.
    C : float or None
        The chosen C; None for a head without one.
    protocol : str
        Name of the protocol.
    shots : int or None
        Training pictures a class, where fixed.
    split, seed : int
        Number of the split, from 0, and the seed that drew it.
    metric, other_metric : str
        Names of the headline metric and of the one beside it.
    value, other_value : float
        Their values, as fractions.
    n_classes, n_train, n_test : int
        Classes tested, training rows and test rows.
    seconds_fit : float
        Seconds for choosing C and fitting.
    converged : bool
        Whether the final fit reached its tolerance.
    c_at_edge : bool
        Whether C is the smallest or largest of several values.
    partial : bool
        Whether pictures of the published data set are missing.
    normalize, pool, view : str
        What was done to the features, to the layer's map, and to the pictures.
    digest, decaf_version : str
        Digest of the feature store, and the version that wrote this.
    objective, gradient_norm : float or None
        Of the final fit, where the head has them.
    notes : tuple of str
        Where the run departs from the published protocol; without ``" | "`` inside.
    device : str
        What the net and the head ran on.
    per_class : tuple of (str, str, float)
        Metric, class and value for single classes; not read back from files.
    confusion : tuple of (str, str, int, str)
        Class, predicted class, number of test rows, and the picture of one of them; empty where
        pictures have several labels; not read back from files.
    """

    dataset: str
    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    head: str
    C: float | None
    protocol: str
    shots: int | None
    split: int
    seed: int
    metric: str
    value: float
    other_metric: str
    other_value: float
    n_classes: int
    n_train: int
    n_test: int
    seconds_fit: float
    converged: bool
    c_at_edge: bool
    partial: bool
    normalize: str
    pool: str
    view: str
    digest: str
    decaf_version: str
    objective: float | None = None
    gradient_norm: float | None = None
    notes: tuple[str, ...] = ()
    device: str = ""
    per_class: tuple[tuple[str, str, float], ...] = ()
    confusion: tuple[tuple[str, str, int, str], ...] = ()


_OWN_FILES = ("per_class", "confusion")
_NUMBERS = {"split": "int64", "value": "float64", "n": "int64"}
_ROW = ["dataset", "backbone", "layer", "head", "protocol", "shots"]


@dataclass(frozen=True)
class Aggregate:
    """Results of one head on one layer, over splits; the fields are the CSV file's columns.

    Attributes
    ----------
    C : float or None
        The (lower) median of the splits' values.
    mean, std, ci95_low, ci95_high : float
        As :func:`decaf.metrics.summary` gives them.
    n_train, n_test : int
        The (lower) median of the splits' numbers of rows.
    seconds_fit : float
        Sum over splits.
    converged : bool
        Whether every split's fit converged.
    c_at_edge : bool
        Whether any split's C is at the edge of its grid.
    published, published_deviation : float or None
        The published figure of the same cell, if there is one, and its printed deviation.
    """

    dataset: str
    backbone: str
    weights: str
    weights_sha256: str
    layer: str
    head: str
    C: float | None
    protocol: str
    shots: int | None
    n_splits: int
    metric: str
    mean: float
    std: float
    ci95_low: float
    ci95_high: float
    n_train: int
    n_test: int
    seconds_fit: float
    converged: bool
    published: float | None
    published_source: str
    digest: str
    decaf_version: str
    published_deviation: float | None
    published_system: str
    published_verified: str
    published_note: str
    other_metric: str
    other_mean: float
    other_std: float
    n_classes: int
    c_at_edge: bool
    partial: bool
    normalize: str
    pool: str
    view: str
    notes: tuple[str, ...]


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
            groups.setdefault(_row_key(r), []).append(r)
        return tuple(_aggregate(group) for group in groups.values())

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
        return _frame(Result, self.results).drop(columns=list(_OWN_FILES))

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
        frames = {path: self.to_frame(), _beside(path, "splits"): self.splits_frame()}
        if any(r.per_class for r in self.results):
            frames[_beside(path, "classes")] = self.classes_frame()
        if any(r.confusion for r in self.results):
            frames[_beside(path, "confusion")] = self.confusion_frame()
        path.parent.mkdir(parents=True, exist_ok=True)
        for target, frame in frames.items():
            _write_whole(target, frame.to_csv(index=False, lineterminator="\n"))
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
        path = _beside(path, "splits")
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return cls(tuple(_result(row) for row in csv.DictReader(file)))
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
        (*_row_key(result), result.split, result.seed): result
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
    found = [path for path in (_beside(path, what) for path in _own(paths)) if path.is_file()]
    # as text, for a class may be called "1" or "nan"
    frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in found]
    if not frames:
        return pd.DataFrame()
    numbers = {name: kind for name, kind in _NUMBERS.items() if name in frames[0].columns}
    key = [name for name in frames[0].columns if name not in {"value", "n", "example"}]
    return pd.concat(frames).drop_duplicates(key, keep="last", ignore_index=True).astype(numbers)


def _row_key(r: Result) -> tuple[Any, ...]:
    """Return what the splits of one row of a table have in common."""
    key = (r.dataset, r.backbone, r.weights_sha256, r.layer, r.head, r.protocol, r.shots)
    return (*key, r.metric, r.normalize, r.pool, r.view, r.digest)


def _own(paths: Sequence[Path]) -> list[Path]:
    beside = {_beside(path, what) for path in paths for what in ("splits", "classes", "confusion")}
    return [path for path in dict.fromkeys(paths) if path not in beside]


def _aggregate(group: list[Result]) -> Aggregate:
    first = group[0]
    over, other = summary([r.value for r in group]), summary([r.other_value for r in group])
    published = lookup(
        dataset=first.dataset,
        protocol=first.protocol,
        backbone=first.backbone,
        layer=first.layer,
        pool=first.pool,
        head=first.head,
        shots=first.shots,
        metric=first.metric,
    )
    chosen = [r.C for r in group if r.C is not None]
    over_splits: dict[str, Any] = {
        "C": median_low(chosen) if chosen else None,
        "n_splits": over.n,
        "mean": over.mean,
        "std": over.std,
        "ci95_low": over.ci95_low,
        "ci95_high": over.ci95_high,
        "n_train": median_low(r.n_train for r in group),
        "n_test": median_low(r.n_test for r in group),
        "seconds_fit": math.fsum(r.seconds_fit for r in group),
        "converged": all(r.converged for r in group),
        "c_at_edge": any(r.c_at_edge for r in group),
        "partial": any(r.partial for r in group),
        "published": published.value if published else None,
        "published_source": published.source if published else "",
        "published_deviation": published.deviation if published else None,
        "published_system": published.system if published else "",
        "published_verified": published.verified if published else "",
        "published_note": published.note if published else "",
        "other_mean": other.mean,
        "other_std": other.std,
    }
    shared = [f.name for f in fields(Aggregate) if f.name not in over_splits]
    return Aggregate(**{name: getattr(first, name) for name in shared}, **over_splits)


def _frame(kind: type[Aggregate] | type[Result], rows: tuple[Any, ...]) -> pd.DataFrame:
    columns = [field.name for field in fields(kind)]
    frame = pd.DataFrame([asdict(row) for row in rows], columns=columns)
    frame["notes"] = [" | ".join(row.notes) for row in rows]
    return frame.astype({"shots": "Int64", "C": "float64"})


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.stem}-{what}.csv")


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)


def _result(row: dict[str, str]) -> Result:
    names = [field.name for field in fields(Result) if field.name not in _OWN_FILES]
    return Result(**{name: _READERS.get(name, str)(row[name]) for name in names})


def _float(text: str) -> float:
    return float(text) if text else float("nan")


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _bool(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _notes(text: str) -> tuple[str, ...]:
    return tuple(text.split(" | ")) if text else ()


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("C", "objective", "gradient_norm"), _optional),
    **dict.fromkeys(("split", "seed", "n_classes", "n_train", "n_test"), int),
    **dict.fromkeys(("value", "other_value", "seconds_fit"), _float),
    **dict.fromkeys(("converged", "c_at_edge", "partial"), _bool),
    "shots": lambda text: int(text) if text else None,
    "notes": _notes,
}
