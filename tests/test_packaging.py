"""What is installed: the name, the extras, the public names; `import decaf` beside the clone."""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from functools import partial
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
        "Applied", "Cluster", "Compute", "DecafFeatures", "Detection", "Detector", "FeatureStore",
        "Fit", "Index", "Net", "Overrides", "Search", "Source", "Space", "View", "__version__",
        "detect", "evaluate", "evaluate_detector", "extract", "extract_nets", "finetune",
        "load_backbone", "load_dataset", "predict", "search", "train", "train_detector", "tune",
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
    for extra in ("umap", "ray", "timm", "remote", "parquet", "detect", "search"):
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
    clean_copy(clone)
    with zipfile.ZipFile(built("editable", clone, tmp_path)) as wheel:
        wheel.extractall(site)
    find = f"import site; site.addsitedir({str(site)!r}); import decaf; print(decaf.__version__)"
    found = subprocess.run(
        [sys.executable, "-S", "-c", find], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={},
    )  # fmt: skip
    assert found.stdout.strip() == decaf.__version__, found.stderr


@pytest.mark.slow
def test_the_source_archive_makes_a_wheel_that_works_in_an_empty_environment(
    image_folder: Path, tmp_path: Path
) -> None:
    """The packages that decaf needs are lent to it; decaf itself comes from the wheel alone."""
    pytest.importorskip("setuptools", minversion="77", reason="setuptools is not installed")
    pytest.importorskip("pip", reason="pip is not installed")
    dist = tmp_path / "dist"
    dist.mkdir()
    sdist = built("sdist", clean_copy(tmp_path / "clone"), dist)
    shutil.unpack_archive(sdist, tmp_path / "unpacked", filter="data")
    (source,) = (tmp_path / "unpacked").iterdir()
    wheel = built("wheel", source, dist)
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = {str(p.relative_to(ROOT)) for p in (ROOT / "decaf").rglob("*") if p.is_file()}
    assert {name for name in files if "__pycache__" not in name} <= packed
    assert not [name for name in packed if name.startswith(("tests/", "docs/", "benchmarks/"))]
    environment, elsewhere = tmp_path / "env", tmp_path / "elsewhere"
    venv.create(environment)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", str(wheel)], check=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib"))
    elsewhere.mkdir()
    run = partial(
        subprocess.run, cwd=elsewhere, capture_output=True, text=True, check=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(elsewhere)},
    )  # fmt: skip
    decaf_command = str(environment / "bin" / "decaf")
    where = run([str(python), "-c", "import decaf; print(decaf.__file__)"]).stdout
    assert where.startswith(str(site))
    assert run([decaf_command, "--version"]).stdout.split() == ["decaf", decaf.__version__]
    assert run([str(python), "-m", "decaf", "--version"]).stdout.startswith("decaf ")
    layers = ("--layers", "pool5", "--splits", "2", "--c-grid", "1")
    data = ("--dataset", str(image_folder), "--backbone", "decaf-mini")  # its weights are carried
    run([decaf_command, "evaluate", *data, *layers])
    assert run([decaf_command, "report", "results/images.csv"]).stdout.strip() == "report.html"
    assert "</html>" in (elsewhere / "report.html").read_text()


def clean_copy(clone: Path) -> Path:
    """Return a copy of what a clone holds, as far as packaging reads it."""
    shutil.copytree(ROOT / "decaf", clone / "decaf", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    return clone


def built(kind: str, source: Path, into: Path) -> Path:
    """Return the archive that the project's build backend makes, without a network."""
    build = f"from setuptools.build_meta import build_{kind} as b; print(b({str(into)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", build], cwd=source, capture_output=True, text=True, check=True
    )
    return into / done.stdout.split()[-1]


def test_a_citation_names_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", text, re.MULTILINE)[1] == decaf.__version__
    assert re.search(r"^license: (.*)$", text, re.MULTILINE)[1] == PROJECT["license"]


def test_the_metadata_are_those_of_the_project() -> None:
    try:
        found = metadata.metadata(extras.DISTRIBUTION)
    except metadata.PackageNotFoundError:
        pytest.skip("decaf is not installed under its name")
    assert set(PROJECT["optional-dependencies"]) <= set(found.get_all("Provides-Extra") or [])
