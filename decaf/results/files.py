"""The CSV files of results: their names, and rows read back."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from decaf.results.rows import OWN_FILES, Result


def beside(path: Path, what: str) -> Path:
    """Return the path of a file beside the results `path`."""
    return path.with_name(f"{path.stem}-{what}.csv")


def read_row(row: dict[str, str]) -> Result:
    """Return the result that a row of ``NAME-splits.csv`` says."""
    names = [field.name for field in fields(Result) if field.name not in OWN_FILES]
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
