"""`decaf plot tsne` and `decaf visualize top-images`, from a store to an image."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result as Outcome
from flat import extract
from PIL import Image
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import ConfigError, DataError, DecafError


@pytest.fixture
def decaf(image_folder: Path, tmp_path: Path) -> Callable[..., Outcome]:
    store = extract(
        image_folder,
        backbone="decaf-mini",
        weights="random",
        device="cpu",
        layers="features.pool2",
        pool="avg",
        out=tmp_path,
        quiet=True,
    )

    def run(*command: str, **options: str) -> Outcome:
        out = str(tmp_path / "f.png")
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        return CliRunner().invoke(app, [*command, str(store), "--out", out, *words])

    return run


def test_features_on_a_plane_with_images(
    decaf: Callable[..., Outcome], image_folder: Path, tmp_path: Path
) -> None:
    done = decaf("plot", "tsne", "--thumbnails", images=str(image_folder))
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "f.png") as drawn:
        assert min(drawn.size) > 500


def test_thumbnails_without_images_are_refused(decaf: Callable[..., Outcome]) -> None:
    error = decaf("plot", "tsne", "--thumbnails").exception
    assert isinstance(error, DataError)
    assert "give their folder with --images" in str(error)


def test_top_images_of_units(
    decaf: Callable[..., Outcome], image_folder: Path, tmp_path: Path
) -> None:
    options = {"layer": "features.pool2", "weights": "random", "device": "cpu"}
    done = decaf("visualize", "top-images", units="0-2,7", images=str(image_folder), **options)
    assert done.exit_code == 0, done.output
    with Image.open(tmp_path / "f.png") as drawn:
        assert drawn.width > drawn.height  # four blocks side by side


@pytest.mark.parametrize("units", ["a", "3-", "1,,2", "-1"])
def test_units_are_numbers(decaf: Callable[..., Outcome], units: str) -> None:
    error = decaf("visualize", "top-images", layer="features.pool2", units=units).exception
    assert isinstance(error, ConfigError)
    assert "units are numbers" in str(error)


@pytest.mark.parametrize("method", ["deconvnet", "guided", "gradient", "grad-cam"])
@pytest.mark.parametrize("source", ["store", "images"])
def test_what_excites_units(
    decaf: Callable[..., Outcome], image_folder: Path, tmp_path: Path, method: str, source: str
) -> None:
    (store,) = tmp_path.glob("*.h5")
    words = [str(store), "--images", str(image_folder)]
    if source == "images":
        words = [str(image_folder / "blue"), str(image_folder / "red" / "0.png")]
    out = tmp_path / "seen.png"
    options = ["--weights", "random", "--layer", "features.pool2", "--units", "0-2", "--out", out]
    command = ["visualize", "deconv", "decaf-mini", *words, *options, "--method", method]
    done = CliRunner().invoke(app, list(map(str, command)))
    assert done.exit_code == 0, done.output
    with Image.open(out) as drawn:
        assert drawn.width > 1000


LAYER = ["--layer", "features.pool2"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["x.png", "--units", "0-"], "units are numbers"),
        (["x.png"], "no such file"),
        (["x.png", "--images", "there"], "does not use images"),
        (["{store}", "--layer", "features.pool1"], "features.pool2"),
        (
            ["{store}", "--layer", "features.pool2", "--images", "{folder}", "--seed", "3"],
            "give its net",
        ),
        (["{image}", "--method", "grad-cam", "--maps", "fc7"], "give --maps another layer"),
        (["{image}", "--layer", "features.pool9"], "unknown layer"),
    ],
)
def test_what_cannot_be_shown_is_said(
    decaf: Callable[..., Outcome],
    image_folder: Path,
    tmp_path: Path,
    words: list[str],
    said: str,
) -> None:
    (store,) = tmp_path.glob("*.h5")
    filled = [
        word.format(store=store, folder=image_folder, image=image_folder / "blue" / "0.png")
        for word in words
    ]
    command = ["visualize", "deconv", "decaf-mini", *filled, "--weights", "random", "--device",
               "cpu", "--out", str(tmp_path / "seen.png")]  # fmt: skip
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, DecafError), error
    assert said in str(error)
    assert not (tmp_path / "seen.png").exists()
