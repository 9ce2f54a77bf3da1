"""The list of images that could not be made into features, kept beside the store."""

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from decaf.escapes import csv_path
from decaf.whole_files import whole_file

_SECONDS_BETWEEN_WRITES = 5.0


def failures_path(store: Path) -> Path:
    """Return where the failures of a store are listed."""
    return store.with_name(f"{store.stem}.failures.csv")


def read_failures(path: Path) -> dict[int, str]:
    """Return the reason of each row that failed; none where there is no such file."""
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        return {int(line["row"]): line["reason"] for line in csv.DictReader(file)}


def failed_images(store: Path) -> set[str]:
    """Return the ids of the images of a store that could not be used."""
    path = failures_path(store)
    if not path.exists():
        return set()
    with path.open(newline="", encoding="utf-8") as file:
        return {line["image_id"] for line in csv.DictReader(file)}


def write_failures(
    path: Path, reasons: Mapping[int, str], image_ids: Mapping[int, str] | Sequence[str]
) -> None:
    """Write rows, ids and reasons as CSV, sorted by row; the file is never seen half-written."""
    with whole_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["row", "image_id", "reason"])
        out.writerows(
            [row, csv_path(image_ids[row]), reason] for row, reason in sorted(reasons.items())
        )


class FailureLog:
    """Rows that failed, with their reasons, in a CSV file that is never seen half-written.

    A file of an earlier run is removed: its rows are tried again.

    Parameters
    ----------
    path : pathlib.Path
        The CSV file: columns ``row``, ``image_id``, ``reason``, sorted by row.
    image_ids : sequence of str
        Ids of all rows.
    """

    def __init__(self, path: Path, image_ids: Sequence[str]) -> None:
        self._path = path
        self._image_ids = image_ids
        self._reasons: dict[int, str] = {}
        self._n_written = 0
        self._written_at = float("-inf")
        path.unlink(missing_ok=True)

    def __len__(self) -> int:
        return len(self._reasons)

    def add(self, row: int, reason: str) -> None:
        """Note a failure, and write the file if it has not been written for a while."""
        self._reasons[row] = reason
        if time.monotonic() - self._written_at > _SECONDS_BETWEEN_WRITES:
            self.flush()

    def flush(self) -> None:
        """Write the file, if there is anything new to say."""
        if len(self._reasons) == self._n_written:
            return
        write_failures(self._path, self._reasons, self._image_ids)
        self._n_written = len(self._reasons)
        self._written_at = time.monotonic()
