"""The command sets how its threads wait, how many they are and the allocator; an import nothing."""

import json
import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME", "OPENBLAS_THREAD_TIMEOUT", "OMP_NUM_THREADS")
CALM = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "4"}

WATCH = """
import ctypes, json, os, sys
calls = []
class Library:
    gnu_get_libc_version = None
    def mallopt(self, *given): calls.append(given)
ctypes.CDLL = lambda name, *more, real=ctypes.CDLL, **options: (
    Library() if name is None else real(name, *more, **options))
"""
TELL = f"""
print(json.dumps([{{n: os.environ.get(n) for n in {NAMES}}}, len(calls), "torch" in sys.modules]))
"""
EXTRACTS = "from decaf.process import keep_freed_memory; keep_freed_memory()"
COMMAND = """
from decaf.cli import app
app.border.run = lambda _: None
app.main()
"""
LIBRARY = "import decaf; decaf.extract, decaf.evaluate\n"
WORKERS = """
from decaf.cli import app
import typer
from decaf.cli.from_records import with_records
from decaf.records import Compute
group = typer.Typer(cls=app.border.Border)
@group.command("one")
@with_records
def one(compute: Compute) -> None: pass
@group.command("two")
def two() -> None: pass
app.app = group
sys.argv = ["decaf", "one", "--workers", "3"]
try: app.main()
except SystemExit: pass
"""


def told(code: str, **given: str) -> tuple[dict[str, str | None], int, bool]:
    """Return the environment after some code, calls of the allocator, and whether torch is here."""
    environment = {k: v for k, v in os.environ.items() if k not in NAMES} | given
    done = subprocess.run(
        [sys.executable, "-c", WATCH + code + TELL],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found, n_calls, loaded = json.loads(done.stdout.splitlines()[-1])
    return {name: value for name, value in found.items() if value is not None}, n_calls, loaded


def test_the_command_sets_its_process_before_torch_is_loaded() -> None:
    assert told(COMMAND) == (CALM, 0, False)
    assert told(COMMAND + EXTRACTS) == (CALM, 3, False)


@pytest.mark.slow
def test_an_import_leaves_the_process_as_it_was() -> None:
    assert told(LIBRARY + EXTRACTS) == ({}, 0, True)


def test_what_the_user_set_stays() -> None:
    given = {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "7", "OMP_NUM_THREADS": "2"}
    assert told(COMMAND, **given)[0] == CALM | given


@pytest.mark.parametrize(("given", "expected"), [(None, "3"), ("2", "2"), ("8", "3")])
def test_no_pool_has_more_threads_than_workers(given: str | None, expected: str) -> None:
    environment = {} if given is None else {"OMP_NUM_THREADS": given}
    assert told(WORKERS, **environment)[0]["OMP_NUM_THREADS"] == expected


def test_a_quota_limits_the_threads() -> None:
    found, *_ = told(COMMAND, SLURM_CPUS_PER_TASK="1")
    one_core = len(os.sched_getaffinity(0)) == 1
    assert found.get("OMP_NUM_THREADS") == (None if one_core else "1")
