"""What this machine has: cores and memory."""

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")


def n_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int | None:
    """Return the memory that can be had without swapping; None where the system does not say."""
    if not _MEMINFO.exists():
        return None
    lines = _MEMINFO.read_text().splitlines()
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")), None)
