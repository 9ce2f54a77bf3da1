"""What decaf sets for a process of its own: the command's, and an actor's of a Ray cluster.

Nobody who imports decaf gets any of it.
"""

import ctypes
import os
import sys

from decaf.machine import n_cores, n_visible_cores

_WAITING = {
    "OMP_WAIT_POLICY": "PASSIVE",  # GNU's OpenMP, which torch and scikit-learn bring
    "KMP_BLOCKTIME": "0",  # Intel's
    "OPENBLAS_THREAD_TIMEOUT": "4",  # NumPy's and SciPy's; its least, 2**4 cycles
}
_N_THREADS = "OMP_NUM_THREADS"  # all three follow it
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_KEEP_BYTES = 1 << 30


_owned = False


def own() -> None:
    """Take the process as decaf's own; call it before torch and NumPy are loaded.

    Threads that wait for each other sleep. They spin otherwise, which on a machine that others use
    takes cores from them, and from the very threads that are waited for. What the environment says
    already stays. Extraction keeps memory, see `keep_freed_memory`.
    """
    global _owned  # noqa: PLW0603 - there is one process
    _owned = True
    for name, value in _WAITING.items():
        os.environ.setdefault(name, value)
    if n_cores() < n_visible_cores():
        limit_threads(n_cores())


def limit_threads(n_threads: int) -> None:
    """Let pools have so many threads or, where the environment says it, fewer.

    Call it before torch and NumPy are loaded.
    """
    given = os.environ.get(_N_THREADS)
    if given is None or (given.isdecimal() and int(given) > n_threads):
        os.environ[_N_THREADS] = str(n_threads)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory, in a process of decaf's own.

    A net's maps are tens of megabytes, which glibc would map and unmap anew for each batch; the
    kernel then clears every page again. SqueezeNet spends 10 of 27 ms an image on that, and
    none of it afterwards. One arena, because others cannot hold blocks of this size. Does
    nothing with another C library.
    """
    if not _owned or not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        library.mallopt(_M_ARENA_MAX, 1)
