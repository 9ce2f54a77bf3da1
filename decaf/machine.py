"""What this process may use of the machine: cores and memory. Loads nothing else."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUPS = Path("/proc/self/cgroup")
_LIMITS = Path("/sys/fs/cgroup")


def n_cores() -> int:
    """Return the number of cores that this process may use.

    That is the least of its affinity, of the quotas of its control groups (versions 1 and 2; a
    part of a core counts as one) and of what Slurm gives each task.
    """
    return max(1, math.ceil(min(n_visible_cores(), *_quotas(), _slurm())))


def n_visible_cores() -> int:
    """Return the number of cores that libraries see: those of the process's affinity."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _slurm() -> float:
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    return int(given) if given.isdecimal() else math.inf


def _quotas() -> Iterator[float]:
    """Yield the quota of each control group that this process is in, in cores."""
    yield math.inf
    groups = _GROUPS.read_text().splitlines() if _GROUPS.exists() else []
    for line in groups:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = _LIMITS / "cpu" if controllers else _LIMITS
        own = root / group.lstrip("/")
        for folder in (own, *own.parents):
            yield _quota(folder)
            if folder == root:
                break


def _quota(folder: Path) -> float:
    """Return the cores that a control group of either version may use."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in _VERSION_1)
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no such group here, or no limit: "max"
        return math.inf


_VERSION_1 = ("quota", "period")


def free_memory_bytes() -> int | None:
    """Return the memory that can be had without swapping; None where the system does not say."""
    if not _MEMINFO.exists():
        return None
    lines = _MEMINFO.read_text().splitlines()
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:")), None)
