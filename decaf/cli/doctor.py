"""`decaf doctor`."""

from itertools import groupby
from pathlib import Path

import typer

from decaf.cli import border, options


def doctor(*, data_root: options.DataRoot = Path("data")) -> None:
    """Say what is on this machine: versions, devices, extras, cores, disks, and what is missing.

    Ends with status 1 where decaf cannot do its work.
    """
    from decaf.health import examine

    found = examine(data_root)
    width = max(len(one.name) for one in found)
    for topic, some in groupby(found, lambda one: one.topic):
        border.say(f"\n{topic}")
        for one in some:
            mark = "!!" if one.needed else "- " if one.advice else "  "
            border.say(f" {mark} {one.name:{width}}  {one.found}")
            if one.advice:
                border.say(f"    {'':{width}}  {one.advice}")
    missing = [one.name for one in found if one.needed]
    border.say(f"\n{'mend first: ' + ', '.join(missing) if missing else 'decaf can work here'}")
    if missing:
        raise typer.Exit(1)
