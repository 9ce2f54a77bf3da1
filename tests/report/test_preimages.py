"""`decaf visualize invert` and `maximize`, from the command to the files."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from decaf.cli.app import app
from decaf.errors import ConfigError, DataError


def visualize(*words: object):
    return CliRunner().invoke(app, ["visualize", *map(str, words), "--device", "cpu"])


def test_one_image_at_every_layer(image_folder: Path, tmp_path: Path) -> None:
    image, out = image_folder / "red" / "0.png", tmp_path / "layers.png"
    words = ["invert", "decaf-mini", image, "--layer", "features.relu1,pool5", "--steps", 6]
    done = visualize(*words, "--out", out)
    assert done.exit_code == 0, done.output
    assert "12 steps of 1 images will take about" in done.output
    energies = pd.read_csv(out.with_suffix(".csv"))
    assert energies.groupby("wish").size().to_dict() == {"features.relu1": 6, "pool5": 6}
    with Image.open(out) as drawn:
        assert min(drawn.size) > 300
    assert {file.name for file in tmp_path.iterdir()} == {"images", "layers.png", "layers.csv"}


def test_units_from_several_starts(image_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "units.png"
    words = ["--unit", "0-1", "--starts", 3, "--steps", 4, "--method", "2016", "--out", out]
    done = visualize("maximize", "decaf-mini", *words, "--images", image_folder)
    assert done.exit_code == 0, done.output
    energies = pd.read_csv(out.with_suffix(".csv"))
    assert len(energies) == 2 * 3 * 4
    assert energies["start"].nunique() == 3


def test_another_method_is_refused(tmp_path: Path) -> None:
    done = visualize(
        "invert", "decaf-mini", "x.png", "--method", "2017", "--out", tmp_path / "f.png"
    )
    assert done.exit_code == 2
    assert "2016" in done.output


@pytest.mark.parametrize(
    ("words", "kind", "reason"),
    [
        (["invert", "decaf-mini", "nowhere.png"], DataError, "asked for the image nowhere.png"),
        (["maximize", "decaf-mini", "--unit", "200"], ConfigError, "found 0 to 199"),
        (["maximize", "decaf-mini", "--unit", "1", "--layer", "fc6,fc7"], ConfigError, "one layer"),
        (["maximize", "decaf-mini", "--unit", "1", "--method", "2016"], ConfigError, "--images"),
        (["maximize", "decaf-mini", "--unit", "x"], ConfigError, "units are numbers"),
    ],
)
def test_what_is_refused(
    words: list[str], kind: type[Exception], reason: str, tmp_path: Path
) -> None:
    error = visualize(*words, "--out", tmp_path / "f.png").exception
    assert isinstance(error, kind)
    assert reason in str(error)
