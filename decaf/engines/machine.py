"""What this machine has: cores and memory, and how memory is kept."""

import ctypes
import os
import sys
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_KEEP_BYTES = 1 << 30


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int | None:
    """Return the memory that can be had without swapping; None where the system does not say."""
    if not _MEMINFO.exists():
        return None
    lines = _MEMINFO.read_text().splitlines()
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")), None)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of handing every large block back at once.

    A net's maps are tens of megabytes, which glibc maps and unmaps anew for each batch; the
    kernel then clears every page again. SqueezeNet spends 10 of 27 ms an image on that, and
    none of it afterwards. One arena, because others cannot hold blocks of this size. Does
    nothing with another C library.
    """
    if not sys.platform.startswith("linux"):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt") and hasattr(library, "gnu_get_libc_version"):
        library.mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES)
        library.mallopt(_M_ARENA_MAX, 1)
