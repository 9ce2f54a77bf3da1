"""Running a benchmark's parts: any can be left out, and the last line is always one JSON object."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping

Figures = Mapping[str, float | None]


def add_skip(parser: argparse.ArgumentParser, names: tuple[str, ...]) -> None:
    """Add the option that leaves parts out."""
    parser.add_argument(
        "--skip", nargs="+", choices=names, default=[], metavar="PART",
        help=f"parts to leave out: {', '.join(names)}",
    )  # fmt: skip


def cpu_seconds() -> float:
    """Return the processor's seconds of this process so far, and of its children that ended."""
    return sum(os.times()[:4])


def run_parts(
    parts: Mapping[str, Callable[[], Figures]], lacking: Mapping[str, str | None]
) -> None:
    """Run parts one after another and print their figures.

    `lacking` says why a part cannot run or is not wanted: it is left out, and that is said at the
    start. Where a part fails, that is said and the others run; the exit status is 1 then.
    """
    reasons = {name: lacking[name] for name in parts if lacking.get(name)}
    for name, reason in reasons.items():
        print(f"left out: {name}: {reason}", flush=True)
    figures: dict[str, float | None] = {}
    failed = []
    try:
        for name, part in parts.items():
            if name in reasons:
                continue
            try:
                figures |= part()
            except Exception as error:  # noqa: BLE001 - the other parts still count
                traceback.print_exc()
                print(f"failed: {name}: {error}", flush=True)
                failed.append(name)
    finally:
        rounded = {k: None if v is None else float(f"{v:.4g}") for k, v in figures.items()}
        print(json.dumps(rounded), flush=True)
    if failed:
        sys.exit(1)
