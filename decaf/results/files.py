"""The CSV files of results: their names, what makes them one table, and rows read back."""

import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

from decaf.errors import ConfigError, DataError
from decaf.escapes import csv_cell, csv_word
from decaf.metrics import METRICS
from decaf.metrics.kept_scores import KeptScores, read_scores
from decaf.results.rows import OWN_COLUMNS, Result, key_of
from decaf.whole_files import write_whole

BESIDE = ("splits", "classes", "confusion")
"""What the files beside results hold."""


def beside(path: Path, what: str) -> Path:
    """Return the path of a file beside the results `path`."""
    return path.with_name(f"{path.stem}-{what}.csv")


def scores_file(path: Path, facts: Mapping[str, Any]) -> Path:
    """Return where the scores of a split's test rows are kept, beside the results `path`."""
    return scores_folder(path) / f"{key_of(facts)}-{facts['seed']}-{facts['split']}.npz"


def scores_folder(path: Path) -> Path:
    """Return the folder beside the results `path` in which the scores of test rows are kept."""
    return path.with_name(f"{path.stem}-scores")


def find_scores(paths: Sequence[Path], result: Result) -> KeptScores | None:
    """Return the scores of a result's test rows, if they are kept beside one of some results.

    Raises
    ------
    DataError
        If a file of them cannot be read.
    """
    for path in paths:
        file = scores_file(path, vars(result))
        if file.is_file():
            kept = read_scores(file)
            if kept.facts.get("test_digest") == result.test_digest:
                return kept
    return None


def require_csv(path: Path) -> None:
    """Refuse a name of results that does not end in ``.csv``, as the names beside it need that.

    Raises
    ------
    ConfigError
        If it does not.
    """
    if path.suffix != ".csv" or not path.stem:
        raise ConfigError(f"asked to write results to {path}; give a name that ends in .csv")


def write_frames(path: Path, frames: Mapping[str, pd.DataFrame]) -> tuple[Path, ...]:
    """Write the files of one table, each with the table's digest and a checksum of its own.

    Parameters
    ----------
    path : pathlib.Path
        ``NAME.csv``, which is written last.
    frames : mapping of str to pandas.DataFrame
        ``""`` for `path` itself, and by a word of `BESIDE`; where one is not given, the file of
        an earlier table is removed.
    """
    safe = {
        what: frame.map(lambda cell: csv_cell(cell) if isinstance(cell, str) else cell)
        for what, frame in frames.items()
    }
    digest = hashlib.sha256(_text(safe["splits"]).encode()).hexdigest()[:16]
    targets = {what: beside(path, what) for what in BESIDE} | {"": path}
    for what, target in targets.items():
        if what not in safe:
            target.unlink(missing_ok=True)
            continue
        frame = safe[what].assign(table=digest)
        write_whole(target, _text(frame.assign(checksum=_checksum(frame))))
    return tuple(targets[what] for what in ("", *BESIDE) if what in frames)


def read_frame(path: Path, table: str | None = None) -> pd.DataFrame:
    """Read a file of results, every column as text: a class may be called "1" or "nan".

    Parameters
    ----------
    path : pathlib.Path
        The file.
    table : str, optional
        Digest of the table that it must belong to.

    Returns
    -------
    pandas.DataFrame
        One row or more.

    Raises
    ------
    DataError
        If it is missing, is not decaf's, is cut short or belongs to another table.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
        told = set(frame.pop("checksum"))
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (KeyError, ValueError) as error:  # pandas' errors of parsing are ValueErrors
        raise _unreadable(path, "no table of results") from error
    if told != {_checksum(frame)} or "table" not in frame:
        raise DataError(
            f"results {path} are cut short or changed: their checksum is another; run the same "
            "decaf evaluate again, which keeps what is finished"
        )
    if table not in {None, frame["table"][0]}:
        raise DataError(
            f"results {path} and the files beside it are of two runs, the later of which was "
            "stopped; run the same decaf evaluate again, which keeps what is finished"
        )
    return frame.map(csv_word)


def read_row(row: Mapping[str, str], path: Path) -> Result:
    """Return the result that a row of ``NAME-splits.csv``, at `path`, says.

    Raises
    ------
    DataError
        If it says none.
    """
    names = [field.name for field in fields(Result) if field.name not in OWN_COLUMNS]
    try:  # a column that an earlier version did not write has its default
        more = tuple((name, float(row[name])) for name in METRICS if row.get(name))
        found = {n: _READERS.get(n, str)(row[n]) for n in names if n in row}
        return Result(**found, more=more)
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, repr(error)) from error


def _unreadable(path: Path, found: str) -> DataError:
    return DataError(
        f"results {path} cannot be read ({found}); give the NAME.csv that decaf evaluate "
        "wrote, with NAME-splits.csv beside it, or run it again"
    )


def _text(frame: pd.DataFrame) -> str:
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _checksum(frame: pd.DataFrame) -> str:
    return f"crc32 {zlib.crc32(_text(frame).encode()):08x}"


def _float(text: str) -> float:
    return float(text) if text else float("nan")


def _optional(text: str) -> float | None:
    return float(text) if text else None


def _bool(text: str) -> bool:
    return {"True": True, "False": False}[text]


def _notes(text: str) -> tuple[str, ...]:
    return tuple(text.split(" | ")) if text else ()


_READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(
        ("C", "objective", "gradient_norm", "train_share", "boot_low", "boot_high"), _optional
    ),
    **dict.fromkeys(("split", "seed", "n_classes", "n_train", "n_test", "of_splits"), int),
    **dict.fromkeys(("value", "other_value", "seconds_fit"), _float),
    **dict.fromkeys(("converged", "c_at_edge", "partial"), _bool),
    "shots": lambda text: int(text) if text else None,
    "notes": _notes,
}
