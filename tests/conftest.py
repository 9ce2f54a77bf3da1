"""Fixtures that several test files share."""

import os
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from layouts import write_layouts
from PIL import Image


def lacking(config: pytest.Config) -> dict[str, str]:
    """Return why tests of a marker do not run, by marker."""
    extras = {"ray": "ray", "umap": "umap", "browser": "playwright"}
    found = {
        marker: f"the extra {marker} is not installed"
        for marker, package in extras.items()
        if find_spec(package) is None
    }
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        found["browser"] = "no Chromium here: install Debian's package chromium"
    if not runs_slow(config):
        found["slow"] = "give --slow, or set DECAF_ASSETS"
    return found


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def runs_slow(config: pytest.Config) -> bool:
    """Return whether tests marked slow run: if they, or a file of tests, are asked for."""
    named = any("::" in one or one.endswith(".py") for one in config.args)
    return named or config.getoption("--slow") or "DECAF_ASSETS" in os.environ


def pytest_configure(config: pytest.Config) -> None:
    os.environ["DECAF_CACHE"] = str(config.rootpath / ".pytest_cache" / "decaf")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for marker, reason in lacking(config).items():
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for marker, reason in lacking(config).items():
        terminalreporter.write_line(f"tests marked {marker} did not run: {reason}")


# processes that tests start find the tests' own modules too
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parent), os.environ.get("PYTHONPATH")])
)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Keep the environment, and what pools of threads later tests have, as they were."""
    torch = sys.modules.get("torch")
    before = torch and torch.get_num_threads()
    with patch.dict(os.environ):
        yield
    if before:
        assert torch.get_num_threads() == before


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder with real weights and images, from the environment variable DECAF_ASSETS."""
    folder = os.environ.get("DECAF_ASSETS")
    if not folder:
        pytest.skip("DECAF_ASSETS is not set: no real weights and images here")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of every published data set in small."""
    root = tmp_path_factory.mktemp("data")
    write_layouts(root)
    return root


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Class folder of 3 x 8 images whose colour tells the class."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("blue", "green", "red")):
        folder = tmp_path / "images" / name
        folder.mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 120, (40, 50, 3), dtype=np.uint8)
            pixels[..., 2 - number] += 120
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path / "images"
