"""Results kept one by one, as they come: what a kill leaves, and what the CSV files are made of."""

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from decaf._version import __version__
from decaf.errors import DataError
from decaf.progress import log
from decaf.results.files import BESIDE, beside, require_csv
from decaf.results.rows import Result, key_of
from decaf.results.table import ResultTable
from decaf.whole_files import append_line, locked, require_writable

_Split = tuple[str, int, int]


@dataclass(frozen=True)
class Journal:
    """The file ``NAME.journal``: a line of checksum and JSON for each split of each row.

    It only grows, so that several processes may write into one. Of lines on one split the last
    counts. `NAME.csv` and the files beside it are made of all of it.

    Attributes
    ----------
    path : pathlib.Path
        ``NAME.csv``.
    finished : dict
        What was there when it was opened, by key, split and seed.
    """

    path: Path
    finished: dict[_Split, Result] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Read the journal of results, if there is one, and see that all files can be written.

        Raises
        ------
        ConfigError
            If `path` does not end in ``.csv``.
        DataError
            If a file cannot be written, the journal cannot be read, or results are there without
            one, which would be overwritten.
        """
        require_csv(path)
        journal = cls(path)
        beneath = [beside(path, what) for what in BESIDE]
        require_writable(path, *beneath, journal.file)
        there = {other.name for other in path.parent.iterdir()}
        lost = [target for target in beneath if target.with_suffix(".journal").name in there]
        if journal.file.exists():
            journal.finished.update(journal._read())
        else:
            lost += [target for target in (path, *beneath) if target.exists()]
        if lost:
            raise DataError(
                f"asked to add results to {path}, found {lost[0]}, which {journal.file.name} does "
                "not hold and which would be overwritten; move it away, or give another --out"
            )
        return journal

    @property
    def file(self) -> Path:
        """The journal's own path."""
        return self.path.with_suffix(".journal")

    def find(self, facts: Mapping[str, Any]) -> Result | None:
        """Return what is known of a split of a row, by this version of decaf, if anything is."""
        known = self.finished.get((key_of(facts), facts["split"], facts["seed"]))
        same = ("split_digest", "of_splits")
        if known is None or known.decaf_version != __version__:
            return None
        return known if all(getattr(known, name) == facts[name] for name in same) else None

    def add(self, result: Result) -> None:
        """Keep a result; it survives a kill from here on.

        Raises
        ------
        DataError
            If it cannot be written.
        """
        text = json.dumps(asdict(result)).encode()
        append_line(self.file, b"%08x %s" % (zlib.crc32(text), text))

    def write(self) -> None:
        """Make the CSV files of all that is in the journal, by any process.

        Raises
        ------
        DataError
            If one cannot be written, or the journal cannot be read.
        """
        if not self.file.exists():
            return
        with locked(self.file):
            results = tuple(self._read().values())
            if results:
                ResultTable(results).to_csv(self.path)

    def _read(self) -> dict[_Split, Result]:
        lines = self.file.read_bytes().splitlines()
        sound = [line[9:] for line in lines if line[:9] == b"%08x " % zlib.crc32(line[9:])]
        if len(sound) < len(lines):
            log(
                f"{self.file}: {len(lines) - len(sound)} of {len(lines)} lines are cut short or "
                "damaged and are passed over; what they said is computed again"
            )
        try:
            results = [_result(json.loads(line)) for line in sound]
        except (TypeError, ValueError, KeyError) as error:
            raise DataError(
                f"{self.file} cannot be read ({error}): another version of decaf wrote it; give "
                "another file with --out"
            ) from error
        return {(r.key, r.split, r.seed): r for r in results}


def _result(values: dict[str, Any]) -> Result:
    values.setdefault("more", [])
    for name in ("notes", "more", "per_class", "confusion"):
        values[name] = tuple(tuple(v) if isinstance(v, list) else v for v in values[name])
    return Result(**values)
