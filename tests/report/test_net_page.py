"""What a net sees, on one page."""

import re
from pathlib import Path

import pytest
import torch
from flat import extract

from decaf.backbones import load_backbone
from decaf.errors import ConfigError, DataError
from decaf.insight.asked import Projection
from decaf.insight.units import first_filters
from decaf.records import Images, Net
from decaf.report.net_page import write_net_page

NET = Net("decaf-mini")
LAYERS = "features.relu1,pool5,fc7"


@pytest.fixture
def store(image_folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "features"
    return Path(
        extract(image_folder, backbone="decaf-mini", layers=LAYERS, out=out, quiet=True, limit=12)
    )


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    table = tmp_path / "moved.csv"
    rows = [f"a.png,{x},{layer},9,{x / 60},,\n" for layer in ("pool5", "fc7") for x in (0, 30, 60)]
    table.write_text("path,translate,layer,distance,relative_distance,probability,unchanged\n"
                     + "".join(rows))  # fmt: skip
    return table


def test_a_page_is_whole_and_alone(
    store: Path, moved: Path, image_folder: Path, tmp_path: Path
) -> None:
    path = write_net_page(
        NET, store, out=tmp_path / "net.html", projection=Projection(units="0-2,40"),
        images=Images(images=image_folder), invariance=[moved], device="cpu",
    )  # fmt: skip
    page = path.read_text()
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    assert re.findall(r'data-unit="(\d+)"', page) == ["0", "1", "2", *(2 * ["0", "1", "2", "40"])]
    assert "3 of 32 units" in page  # the first layer has no unit 40
    assert "4 of 1024 units" in page
    assert "32 of 32 filters of features.conv1, 5 x 5 px" in page
    assert "sparseness of a unit" in page
    assert "mean of 1 images" in page
    for layer in load_backbone("decaf-mini", device="cpu").layers:
        assert f">{layer}<" in page


def test_the_first_filters_are_the_weights() -> None:
    net = load_backbone("decaf-mini", device="cpu")
    layer, filters = first_filters(net)
    weight = net._net.net.features.conv1.weight.permute(0, 2, 3, 1)
    assert layer == "features.conv1"
    torch.testing.assert_close(torch.from_numpy(filters), weight.contiguous())


def test_what_is_wrong_is_said_before_work(store: Path, image_folder: Path, tmp_path: Path) -> None:
    for options, kind, said in (
        ({"out": "net.pdf"}, ConfigError, "ends in .html"),
        ({"projection": Projection(layer="pool5")}, ConfigError, "does not use layer"),
        ({"projection": Projection(units="x")}, ConfigError, "units are numbers"),
        ({"invariance": [tmp_path / "none.csv"]}, DataError, "decaf visualize invariance wrote"),
        ({"projection": Projection(units="2000")}, ConfigError, "found 0 to"),
    ):
        given = {"out": tmp_path / "net.html", "images": Images(images=image_folder)} | options
        with pytest.raises(kind, match=said):
            write_net_page(NET, store, device="cpu", **given)  # type: ignore[arg-type]
