"""Units are looked at where they are most active, in the images that activate them most."""

from pathlib import Path

import numpy as np
import pytest
import torch
from flat import extract

from decaf.analysis.top_images import top_images
from decaf.backbones import TorchBackbone, load_backbone
from decaf.errors import ConfigError
from decaf.insight.units import deepest_maps, inputs_of, see_units, strongest_of, units_of
from decaf.store import FeatureStore

LAYER, UNITS = "features.relu3", [3, 40]


@pytest.fixture(scope="module")
def net() -> TorchBackbone:
    return load_backbone("decaf-mini", device="cpu")


@pytest.fixture
def paths(image_folder: Path) -> list[str]:
    return sorted(map(str, image_folder.glob("*/*.png")))


def test_images_and_a_store_of_them_show_the_same(
    net: TorchBackbone, image_folder: Path, paths: list[str], tmp_path: Path
) -> None:
    store_path = extract(image_folder, backbone=net, layers=LAYER, out=tmp_path, quiet=True)
    found = strongest_of(net, paths, LAYER, UNITS)
    with FeatureStore(store_path) as store:
        stored = top_images(store, net, LAYER, UNITS, image_folder)
    for unit in UNITS:
        assert found[unit].shape == (9, 3, 64, 64)
        assert torch.equal(found[unit], torch.stack([one.pixels for one in stored[unit]]))
        for mine, theirs in zip(see_units(net, found, LAYER)[unit], stored[unit], strict=True):
            assert mine.box == theirs.box
            assert mine.activation == pytest.approx(theirs.activation, rel=1e-4)
            np.testing.assert_array_equal(mine.crop, theirs.crop)


def test_a_signal_stays_in_the_box_that_the_unit_sees(net: TorchBackbone, paths: list[str]) -> None:
    for method in ("deconvnet", "guided", "gradient"):
        for seen in see_units(net, strongest_of(net, paths, LAYER, UNITS), LAYER, method).values():
            for one in seen:
                outside = one.signal.copy()
                x0, y0, x1, y1 = one.box
                outside[y0:y1, x0:x1] = 0
                assert (x1 - x0) * (y1 - y0) < 64 * 64
                assert np.abs(one.projection).max() > 0
                assert np.abs(outside).max() == 0


def test_a_unit_that_is_not_active_sends_nothing(net: TorchBackbone, paths: list[str]) -> None:
    """Before its ReLU a unit may be below 0 wherever one looks."""
    flat = {0: torch.zeros(1, 3, 64, 64, dtype=torch.uint8)}
    units = range(net.shape("features.norm5")[0])
    seen = {u: see_units(net, {u: flat[0]}, "features.norm5")[u][0] for u in list(units)[:24]}
    silent = [one for one in seen.values() if one.activation <= 0]
    active = [one for one in seen.values() if one.activation > 0]
    assert silent
    assert active
    assert all(np.abs(one.signal).max() == 0 for one in silent)
    assert all(np.abs(one.signal).max() > 0 for one in active)


def test_units_of_vectors_and_grad_cam_see_the_whole_image(
    net: TorchBackbone, paths: list[str]
) -> None:
    (one,) = see_units(net, {7: inputs_of(net, paths[:1])}, "fc8")[7]
    assert one.box == (0, 0, 64, 64)
    assert one.projection.shape == (64, 64, 3)
    (cam,) = see_units(net, {7: inputs_of(net, paths[:1])}, "fc8", "grad-cam")[7]
    assert cam.projection.shape == (64, 64)
    assert cam.projection.min() >= 0


def test_the_deepest_maps(net: TorchBackbone) -> None:
    assert deepest_maps(net) == "pool5"
    assert deepest_maps(net, before="pool5") == "features.relu5"
    with pytest.raises(ConfigError, match="found none"):
        deepest_maps(load_backbone("pixels", device="cpu"))


@pytest.mark.parametrize("units", [[128], [-1], []])
def test_units_that_are_not_there(net: TorchBackbone, paths: list[str], units: list[int]) -> None:
    with pytest.raises(ConfigError, match=r"of features\.relu3, found 0 to 127"):
        strongest_of(net, paths, LAYER, units)


def test_units_are_read_from_text() -> None:
    assert units_of(" 3-5, 4,0") == [3, 4, 5, 0]
