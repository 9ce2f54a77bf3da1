"""What is installed: the name, the extras, the public names; `import decaf` beside the clone."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

import decaf
from decaf import extras
from decaf.errors import ConfigError

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_public_names() -> None:
    assert sorted(decaf.__all__) == dir(decaf) == [
        "Cluster", "Compute", "DecafFeatures", "FeatureStore", "Fit", "Index", "Net", "Overrides",
        "Search", "Source", "View", "__version__", "evaluate", "extract", "finetune",
        "load_backbone", "load_dataset", "predict", "search", "train",
    ]  # fmt: skip
    for name in decaf.__all__:
        assert getattr(decaf, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'transfer_everything'"):
        decaf.transfer_everything  # noqa: B018 - the look-up is the test


def test_import_is_cheap(tmp_path: Path) -> None:
    code = (
        "import sys, decaf\n"
        "heavy = {'torch', 'sklearn', 'h5py', 'pandas', 'numpy', 'typer'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_a_missing_package_is_named_and_no_strangers_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = [
        f'{package}; extra == "{extra}"'
        for extra, packages in PROJECT["optional-dependencies"].items()
        for package in packages
    ]
    monkeypatch.setattr(extras, "requires", lambda _: ["numpy>=2.0", *lines])
    for extra in ("umap", "ray", "timm", "onnx", "remote", "parquet"):
        error = extras.missing_extra("it", extra)
        assert isinstance(error, ConfigError)
        for package in PROJECT["optional-dependencies"][extra]:
            assert f"'{package}'" in str(error)
        assert "decaf[" not in str(error)
    monkeypatch.setattr(extras, "requires", lambda _: None)
    assert "pip install '.[umap]' in decaf's clone" in str(extras.missing_extra("UMAP", "umap"))


def test_nothing_advises_to_install_another_project() -> None:
    assert PROJECT["name"] == extras.DISTRIBUTION != "decaf"
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "decaf").rglob("*.py")]
    for file in files:
        assert not re.search(r"(?<!-)\bdecaf\[", file.read_text(encoding="utf-8")), file


def test_a_missing_package_says_so_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from decaf.report.embedding import embed

    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(ConfigError, match=r"asked for UMAP.*umap.* pip install '"):
        embed(np.eye(6), "umap")


def test_an_editable_install_is_found_beside_the_clone(tmp_path: Path) -> None:
    """In the folder above the clone, the clone's own folder is no package called decaf."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools is not installed")
    clone, site = tmp_path / "decaf", tmp_path / "site"
    shutil.copytree(ROOT / "decaf", clone / "decaf", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    build = (
        "from setuptools.build_meta import build_editable\n"
        f"print(build_editable({str(tmp_path)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=clone, capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        wheel.extractall(site)
    find = f"import site; site.addsitedir({str(site)!r}); import decaf; print(decaf.__version__)"
    found = subprocess.run(
        [sys.executable, "-S", "-c", find], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={},
    )  # fmt: skip
    assert found.stdout.strip() == decaf.__version__, found.stderr


def test_the_metadata_are_those_of_the_project() -> None:
    try:
        found = metadata.metadata(extras.DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pytest.skip("decaf is not installed under its name")
    assert set(PROJECT["optional-dependencies"]) <= set(found.get_all("Provides-Extra") or [])
