"""Progress of long work on stderr: a bar on a terminal, log lines elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from decaf.escapes import visible

_SECONDS_BETWEEN_LINES = 10.0


def log(message: str) -> None:
    """Print one line on stderr, plain and whole."""
    print(visible(message), file=sys.stderr, flush=True)  # noqa: T201 - the one place that prints logs


class Advance(Protocol):
    """Told of finished rows."""

    def __call__(self, n_rows: int, n_failed: int = 0) -> None:
        """Add `n_rows`; `n_failed` is the number of failures so far."""


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} {self.unit}/s" if task.speed else "")


@contextmanager
def show_progress(what: str, total: int, unit: str, *, quiet: bool) -> Iterator[Advance]:
    """Show how far a piece of work is, with its rate and the time left.

    Parameters
    ----------
    what : str
        A word or two on the work.
    total : int
        Rows to do.
    unit : str
        What a row is, for instance ``images``.
    quiet : bool
        Print nothing.
    """
    console = Console(stderr=True)
    if quiet or total == 0:
        yield lambda _n_rows, _n_failed=0: None
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(unit),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failed]}"),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(visible(what), total=total, failed="")

            def advance(n_rows: int, n_failed: int = 0) -> None:
                failed = f"{n_failed} failed" if n_failed else ""
                bar.update(task, advance=n_rows, failed=failed)

            yield advance
    else:
        yield _Lines(what, total, unit)


class _Lines:
    def __init__(self, what: str, total: int, unit: str) -> None:
        self.what, self.total, self.unit = what, total, unit
        self.done = 0
        self.start = self.last = monotonic()

    def __call__(self, n_rows: int, n_failed: int = 0) -> None:
        self.done += n_rows
        now = monotonic()
        if now - self.last < _SECONDS_BETWEEN_LINES:
            return
        self.last = now
        rate = self.done / (now - self.start)
        log(
            f"{self.what}: {self.done} of {self.total} {self.unit}, {rate:.0f} {self.unit}/s, "
            f"{(self.total - self.done) / rate:.0f} s left"
            + (f", {n_failed} failed" if n_failed else "")
        )
