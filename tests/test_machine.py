"""Cores are counted as the process may use them, however that is said."""

import os
from pathlib import Path

import pytest

from decaf import machine


@pytest.fixture(autouse=True)
def eight_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(machine, "_LIMITS", tmp_path / "limits")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cgroup": "0::/\n", "limits/cpu.max": "max 100000\n"}, 8),
        ({"cgroup": "0::/\n", "limits/cpu.max": "300000 100000\n"}, 3),
        ({"cgroup": "0::/\n", "limits/cpu.max": "150000 100000\n"}, 2),
        ({"cgroup": "0::/\n", "limits/cpu.max": "50000 100000\n"}, 1),
        (
            {
                "cgroup": "0::/job/step\n",
                "limits/job/step/cpu.max": "max 100000\n",
                "limits/job/cpu.max": "400000 100000\n",
            },
            4,
        ),
        (
            {
                "cgroup": "5:memory:/a\n4:cpu,cpuacct:/a\n0::/\n",
                "limits/cpu/a/cpu.cfs_quota_us": "200000\n",
                "limits/cpu/a/cpu.cfs_period_us": "100000\n",
            },
            2,
        ),
        (
            {
                "cgroup": "4:cpu,cpuacct:/not/mounted/here\n",
                "limits/cpu/cpu.cfs_quota_us": "-1\n",
                "limits/cpu/cpu.cfs_period_us": "100000\n",
            },
            8,
        ),
        ({"cgroup": "0::/\n", "limits/cpu.max": "900000 100000\n"}, 8),
    ],
)
def test_quotas_of_control_groups(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    write(tmp_path, files)
    assert machine.n_cores() == expected


@pytest.mark.parametrize(("said", "expected"), [("2", 2), ("16", 8), ("", 8), ("2(x2)", 8)])
def test_slurm_says_how_many_a_task_has(
    monkeypatch: pytest.MonkeyPatch, said: str, expected: int
) -> None:
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", said)
    assert machine.n_cores() == expected
