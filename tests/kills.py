"""A process that ends itself, as a kill would, at its n-th change of the file system."""

import multiprocessing
import os
import sys
from pathlib import Path

from decaf.retrieval.index import Index, add_to_index
from decaf.store import FeatureStore

KILLED = 9
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod"}


def index_killed(moment: int, folder: Path, store: Path, *, growing: bool) -> int:
    """Build an index, or let it grow, in a process of its own; return its exit status."""
    server = multiprocessing.get_context("forkserver")  # a fork of a clean process: no threads
    server.set_forkserver_preload(["kills"])
    child = server.Process(target=_work, args=(moment, folder, store, growing))
    child.start()
    child.join()
    return child.exitcode


def _work(moment: int, folder: Path, path: Path, growing: bool) -> None:
    with FeatureStore(path) as store:
        _die_at(moment)
        if growing:
            add_to_index(folder, store)
        else:
            Index.build(store, folder, "spherical:64")


def _die_at(moment: int) -> None:
    seen = iter(range(moment))

    def count(event: str, given: tuple) -> None:
        written = event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR)
        if (event in _CHANGES or written) and next(seen, None) is None:
            os._exit(KILLED)

    sys.addaudithook(count)
