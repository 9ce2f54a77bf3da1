"""What `decaf doctor` finds, and what it says is missing."""

import re
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from typer.testing import CliRunner

from decaf import health
from decaf.cli.app import app
from decaf.extras import EXTRAS

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


def bare(requirement: str) -> str:
    return re.split("[>\\[]", requirement)[0]


def test_it_knows_what_is_required_and_every_extra() -> None:
    assert set(health.REQUIRED) == set(map(bare, PROJECT["dependencies"]))
    of_developers = {"test", "check", "docs"}
    assert set(EXTRAS) == set(PROJECT["optional-dependencies"]) - of_developers


def test_a_machine_where_all_is_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = {one.name: one for one in health.examine()}
    assert not any(one.needed for one in found.values())
    for name, said in (("torch", "2."), ("stores", "features"), ("stores", "GB free")):
        assert said in found[name].found
    assert not list(tmp_path.iterdir())
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 0
    assert done.output.rstrip().endswith("decaf can work here")


def test_what_is_missing_is_said_with_what_it_is_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "h5py":
            raise PackageNotFoundError(name)
        return "1.0"

    (tmp_path / "features").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(health, "version", version)
    monkeypatch.setattr(
        health, "find_spec", lambda name: None if name in ("faiss", "torch") else object()
    )
    found = {one.name: one for one in health.examine()}
    assert (found["h5py"].advice, found["h5py"].needed) == ("pip install h5py", True)
    assert "torch is missing" in found["GPU"].found
    assert found["search"].found == "missing: faiss"
    assert "search among millions" in found["search"].advice
    assert "pip install" in found["search"].advice
    assert not found["search"].needed
    assert "give the right to write" in found["stores"].advice
    done = CliRunner().invoke(app, ["doctor"])
    assert done.exit_code == 1
    assert "mend first: h5py, stores" in done.output


def test_quotas_are_told_from_what_is_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "n_cores", lambda: 2)
    monkeypatch.setattr(health, "n_visible_cores", lambda: 64)
    found = {one.name: one.found for one in health.examine()}
    assert found["cores"] == "2 of 64, by a quota"
