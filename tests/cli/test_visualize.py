"""`decaf plot tsne` and `decaf visualize top-images`, from a store to an image."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result as Outcome
from flat import extract, train
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


@pytest.mark.parametrize(("source", "method"), [("store", "deconvnet"), ("images", "grad-cam")])
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


WRONG = (
    (["x.png", "--units", "0-"], "units are numbers"),
    (["x.png"], "no such file"),
    (["x.png", "--images", "there"], "does not use images"),
    (["{store}", "--layer", "features.pool1"], "features.pool2"),
    (["{store}", *LAYER, "--images", "{folder}", "--seed", "3"], "give its net"),
    (["{image}", "--method", "grad-cam", "--maps", "fc7"], "give --maps another layer"),
    (["{image}", "--layer", "features.pool9"], "unknown layer"),
    (["{image}", "--maps", "pool5"], "deconvnet does not use maps"),
)


def test_what_cannot_be_shown_is_said(
    decaf: Callable[..., Outcome], image_folder: Path, tmp_path: Path
) -> None:
    (store,) = tmp_path.glob("*.h5")
    there = {"store": store, "folder": image_folder, "image": image_folder / "blue" / "0.png"}
    out = tmp_path / "seen.png"
    options = ["--weights", "random", "--device", "cpu", "--out", str(out)]
    for words, said in WRONG:
        filled = [word.format(**there) for word in words]
        command = ["visualize", "deconv", "decaf-mini", *filled, *options]
        error = CliRunner().invoke(app, command).exception
        assert isinstance(error, DecafError), error
        assert said in str(error)
        assert not out.exists()


def test_a_page_of_a_net(decaf: Callable[..., Outcome], image_folder: Path, tmp_path: Path) -> None:
    (store,) = tmp_path.glob("*.h5")
    out = tmp_path / "net.html"
    options = ["--weights", "random", "--units", "1", "--method", "guided", "--device", "cpu"]
    where = ["--images", str(image_folder), "--out", str(out)]
    command = ["visualize", "page", "decaf-mini", str(store), *where, *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "guided" in out.read_text()


def test_what_an_answer_rests_on(image_folder: Path, tmp_path: Path) -> None:
    image, net = str(image_folder / "blue" / "0.png"), ["--device", "cpu", "--quiet"]
    small = ["--square", "32", "--stride", "16"]
    widths = {}
    for name, subject, more in (
        ("net", "decaf-mini", []),
        ("gelu", "timm/test_convnext", ["--weights", "random", "--layer", "stages.1"]),
    ):
        out = tmp_path / f"{name}.png"
        command = ["visualize", "occlusion", subject, image, "--out", str(out), *small, *net, *more]
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, done.output
        with Image.open(out) as drawn:
            widths[name] = drawn.width
    assert widths["gelu"] < widths["net"]  # no projection


def test_what_a_trained_models_answer_rests_on(image_folder: Path, tmp_path: Path) -> None:
    model = train(
        image_folder, backbone="decaf-mini", device="cpu", layers="features.pool2", pool="avg",
        view="squash", out=tmp_path / "model.safetensors", features=tmp_path, quiet=True,
    )  # fmt: skip
    image, out = str(image_folder / "red" / "0.png"), tmp_path / "red.png"
    options = ["--device", "cpu", "--quiet", "--square", "40", "--stride", "24", "--out", str(out)]
    command = ["visualize", "occlusion", str(model), image, *options]
    done = CliRunner().invoke(app, [*command, "--label", "red"])
    assert done.exit_code == 0, done.output
    assert out.exists()
    for more, said in ((["--label", "rde"], "did you mean 'red'"), (["--seed", "1"], "seed")):
        error = CliRunner().invoke(app, [*command, *more]).exception
        assert isinstance(error, ConfigError)
        assert said in str(error)
    command[3] = str(tmp_path / "none.png")
    error = CliRunner().invoke(app, command).exception
    assert isinstance(error, DataError)
    assert "none.png, found: " in str(error)
