"""The store that an extraction leads to: one that is there, or one that is to be filled."""

from dataclasses import replace
from pathlib import Path

from decaf.engines.fill import ToFill
from decaf.engines.fresh import Found, find_fresh
from decaf.engines.plan import Plan
from decaf.errors import StoreError
from decaf.progress import log
from decaf.store import Provenance, reopen, store_name


def found_or_to_fill(
    path: Path, plan: Plan, asked: Provenance, *, growing: bool, quiet: bool
) -> Path | ToFill:
    """Return the store that holds what is asked, or the one that is to be filled.

    Parameters
    ----------
    path : pathlib.Path
        A store, or a folder of stores.
    plan : Plan
        The extraction.
    asked : Provenance
        What decides its features' values.
    growing : bool
        Take rows over from other stores of the folder.
    quiet : bool
        Do not say what was found.
    """
    found = find_fresh(path, asked, plan.dataset, growing=growing)
    if found.path is not None and not (found.n_again and _reopened(found, quiet=quiet)):
        _say(quiet, f"found {found.path}, which holds these features")
        return found.path
    if found.donors:
        n_rows = sum(len(donor.here) for donor in found.donors)
        names = ", ".join(str(donor.path) for donor in found.donors)
        _say(quiet, f"{n_rows} of {asked.n_rows} rows are of images in {names}; taking them over")
    if found.path is not None:  # one that was complete has layers of its own
        layers = found.layers
        plan, asked = replace(plan, layers=layers), replace(asked, layers=layers)
        path = found.path
    elif path.suffix != ".h5":
        path = _free(path / store_name(asked), found.others)
    return ToFill(path, plan, asked, found)


def _reopened(found: Found, *, quiet: bool) -> bool:
    """Make a store an unfinished one, so that rows that failed are tried again, if that may be."""
    if found.path is None:
        return False
    try:
        reopen(found.path)
    except (OSError, StoreError) as error:
        _say(
            quiet,
            f"{found.n_again} rows of {found.path} failed and could be tried again now, but: "
            f"{error}",
        )
        return False
    _say(quiet, f"trying {found.n_again} rows again that failed in {found.path}")
    return True


def _free(path: Path, taken: tuple[Path, ...]) -> Path:
    """Return a path, numbered where stores of other images have its name."""
    numbered, number = path, 1
    while numbered in taken:
        number += 1
        numbered = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return numbered


def _say(quiet: bool, message: str) -> None:
    if not quiet:
        log(message)
