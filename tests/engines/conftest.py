"""Images for the small net, and extractions in processes of their own."""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from decaf.engines import local

NET = ("--backbone", "decaf-mini", "--weights", "random", "--device", "cpu")


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Class folder of 96 small images."""
    rng = np.random.default_rng(3)
    for number in range(96):
        path = tmp_path / "many" / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    return tmp_path / "many"


def _decaf(log: Path, prepare: Callable[[], None] | None, arguments: list[str]) -> None:
    from decaf.cli.app import main

    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    sys.argv = ["decaf", *arguments]
    if prepare:
        prepare()
    main()


@pytest.fixture
def decaf(tmp_path: Path) -> Callable[..., BaseProcess]:
    """Start the command in a process of its own; what it says goes to `tmp_path / "log"`."""
    fork = multiprocessing.get_context("forkserver")
    fork.set_forkserver_preload(["decaf.extraction"])

    def start(*arguments: str, prepare: Callable[[], None] | None = None) -> BaseProcess:
        process = fork.Process(target=_decaf, args=(tmp_path / "log", prepare, list(arguments)))
        process.start()
        return process

    return start


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note which rows are loaded."""
    load_batches, rows_loaded = local.load_batches, []

    def load(asked: list[tuple[local.Plan, list[int]]], *more: object) -> object:
        rows_loaded.extend(asked[0][1])
        return load_batches(asked, *more)

    monkeypatch.setattr(local, "load_batches", load)
    return rows_loaded
